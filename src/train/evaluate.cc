#include "swarmsync/train/evaluate.h"

#include <torch/torch.h>

#include <algorithm>

#include "train/device.h"
#include "train/device_batches.h"

namespace swarmsync {

Evaluation Evaluate(ImageClassifier& model, const ImageSet& set, SampleIds ids, Communicator& comm) {
  torch::NoGradGuard no_grad;
  const bool was_training = model.is_training();
  model.eval();
  DeviceBatches batches(1, kEvaluationBatch, set.shape(), DeviceOf(model));
  const BatchMemory host = batches.host(0);
  double loss = 0, correct = 0;
  const std::int64_t end = ids.size * (comm.rank() + 1) / comm.size();
  for (std::int64_t begin = ids.size * comm.rank() / comm.size(); begin < end; begin += kEvaluationBatch) {
    const std::int64_t count = std::min(kEvaluationBatch, end - begin);
    batches.WaitForCopies();
    set.Fill(ids.data + begin, count, host.images, host.labels);
    const DeviceBatches::Batch batch = batches.Bring(0, count);
    const at::Tensor logits = model.forward(batch.images);
    loss += at::cross_entropy_loss(logits, batch.labels, {}, at::Reduction::Sum).item<double>();
    correct += logits.argmax(1).eq(batch.labels).sum().item<double>();
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
