#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "cli/flag_values.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/train/evaluate.h"
#include "swarmsync/train/model_file.h"
#include "swarmsync/train/run_worker.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

struct EvaluateFlags {
  std::string weights;
  std::string dataset;
  std::string data_dir;
  std::string model;
  bool json = false;
};

// said: what the file says of its model.
void CheckModelAndDataset(const EvaluateFlags& flags, const std::optional<ModelDescription>& said) {
  if (!said && (flags.model.empty() || flags.dataset.empty())) {
    throw UsageError(
        fmt::format("{} does not say which model it holds; give --model and --dataset", flags.weights));
  }
  if (said && !flags.model.empty() && flags.model != said->name) {
    throw DataError(fmt::format("{} holds a {}, not a {}; leave --model out or give another file",
                                flags.weights, said->name, flags.model));
  }
}

Dataset OpenData(const EvaluateFlags& flags, const std::optional<ModelDescription>& said) {
  const fs::path directory = flags.data_dir.empty() ? DefaultDataDir() : fs::path(flags.data_dir);
  if (!said) return OpenDataset(flags.dataset, directory);
  const ImageShape expected{said->input.channels, said->input.height, said->input.width};
  Dataset data = OpenDataset(flags.dataset.empty() ? said->dataset : flags.dataset, directory,
                             {said->normalization, expected});
  if (data.shape != expected || data.num_classes != said->input.classes) {
    throw DataError(
        fmt::format("{} holds a model for {} images of {} classes, and {} has {} images of {} classes; "
                    "name the data set it was trained for ({})",
                    flags.weights, ToString(expected), said->input.classes, data.name, ToString(data.shape),
                    data.num_classes, said->dataset));
  }
  return data;
}

int EvaluateModel(const EvaluateFlags& flags, const ModelRegistry& models) {
  UseThreads(static_cast<int>(std::thread::hardware_concurrency()));
  const WeightsFile file = LoadWeights(flags.weights);
  const std::optional<ModelDescription> said = DescriptionIn(file, flags.weights);
  CheckModelAndDataset(flags, said);
  const Dataset data = OpenData(flags, said);
  std::shared_ptr<ImageClassifier> model;
  if (said) {
    model = MakeModel(*said, file, flags.weights, models).model;
  } else {
    model = models.Make(flags.model, InputOf(data));
    CopyInto(*model, file, flags.weights);
  }
  std::vector<std::int64_t> ids(static_cast<std::size_t>(data.test->size()));
  std::iota(ids.begin(), ids.end(), 0);
  const auto alone = ThreadWorld(1).Connect(0);
  const Evaluation result = Evaluate(*model, *data.test, {ids.data(), data.test->size()}, *alone);
  const std::string& name = said ? said->name : flags.model;
  if (flags.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"model", name},
                                              {"dataset", data.name},
                                              {"test_accuracy", result.accuracy},
                                              {"test_loss", result.loss},
                                              {"samples", result.samples}}
                           .dump());
  } else {
    fmt::print("{} on {}: test accuracy {:.4f}, test loss {:.4f} ({} samples)\n", name, data.name,
               result.accuracy, result.loss, result.samples);
  }
  return 0;
}

}  // namespace

void AddEvaluateCommand(CLI::App& tool, const CommandContext& context, Action& run) {
  auto flags = std::make_shared<EvaluateFlags>();
  CLI::App* command = tool.add_subcommand("evaluate", "Evaluate a saved model on a test set");
  command->footer("Example: swarmsync evaluate --weights runs/first/model.safetensors --dataset mnist");
  command->add_option("--weights", flags->weights, "model.safetensors of a run, or a PyTorch state dict")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--dataset", flags->dataset,
                   "a data set, as train takes it [the one that the file says it was trained on]")
      ->type_name("NAME");
  command
      ->add_option("--data-dir", flags->data_dir,
                   "where data sets are kept [$SWARMSYNC_DATA_DIR or ~/.local/share/swarmsync]")
      ->type_name("DIR");
  command
      ->add_option("--model", flags->model,
                   "as train takes it; needed where the file does not say it, and a file that holds another "
                   "is refused")
      ->type_name("NAME");
  command->add_flag("--json", flags->json, "print one JSON object");
  NameValues(*command, context.models);
  command->callback(
      [&run, &context, flags] { run = [&context, flags] { return EvaluateModel(*flags, context.models); }; });
}

}  // namespace swarmsync
