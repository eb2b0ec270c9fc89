#include "swarmsync/train/evaluate.h"

#include <torch/torch.h>

#include <algorithm>

namespace swarmsync {

Evaluation Evaluate(ImageClassifier& model, const ImageSet& set, SampleIds ids, Communicator& comm) {
  constexpr std::int64_t kBatch = 250;
  torch::NoGradGuard no_grad;
  const bool was_training = model.is_training();
  model.eval();
  const ImageShape shape = set.shape();
  const at::Tensor images = at::empty({kBatch, shape.channels, shape.height, shape.width});
  const at::Tensor labels = at::empty({kBatch}, at::kLong);
  double loss = 0, correct = 0;
  const std::int64_t end = ids.size * (comm.rank() + 1) / comm.size();
  for (std::int64_t begin = ids.size * comm.rank() / comm.size(); begin < end; begin += kBatch) {
    const std::int64_t count = std::min(kBatch, end - begin);
    set.Fill(ids.data + begin, count, images.data_ptr<float>(), labels.data_ptr<std::int64_t>());
    const at::Tensor logits = model.forward(images.narrow(0, 0, count));
    const at::Tensor targets = labels.narrow(0, 0, count);
    loss += at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum).item<double>();
    correct += logits.argmax(1).eq(targets).sum().item<double>();
  }
  model.train(was_training);

  const std::vector<double> all = comm.AllGather(std::vector<double>{loss, correct});
  Evaluation result;
  result.samples = ids.size;
  for (std::size_t i = 0; i < all.size(); i += 2) {
    result.loss += all[i] / static_cast<double>(ids.size);
    result.accuracy += all[i + 1] / static_cast<double>(ids.size);
  }
  return result;
}

}  // namespace swarmsync
