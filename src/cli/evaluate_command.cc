#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "cli/commands.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/thread_world.h"
#include "swarmsync/data/dataset.h"
#include "swarmsync/train/evaluate.h"
#include "swarmsync/train/model_file.h"
#include "swarmsync/train/run_worker.h"

namespace swarmsync {
namespace {

struct Flags {
  std::string weights;
  std::string dataset;
  std::string data_dir;
  std::string model;
  bool json = false;
};

int EvaluateModel(const Flags& flags, const ModelRegistry& models) {
  UseThreads(static_cast<int>(std::thread::hardware_concurrency()));
  const SavedModel saved = LoadModel(flags.weights, models);
  if (!flags.model.empty() && flags.model != saved.name) {
    throw DataError(fmt::format("{} holds a {}, not a {}; leave --model out or give another file",
                                flags.weights, saved.name, flags.model));
  }
  const ModelInput& input = saved.input;
  const ImageShape expected{input.channels, input.height, input.width};
  const Dataset data =
      OpenDataset(flags.dataset.empty() ? saved.dataset : flags.dataset,
                  flags.data_dir.empty() ? DefaultDataDir() : std::filesystem::path(flags.data_dir),
                  {saved.normalization, expected});
  if (data.shape != expected || data.num_classes != input.classes) {
    throw DataError(
        fmt::format("{} holds a model for {} images of {} classes, and {} has {} images of {} classes; "
                    "name the data set it was trained for ({})",
                    flags.weights, ToString(expected), input.classes, data.name, ToString(data.shape),
                    data.num_classes, saved.dataset));
  }
  std::vector<std::int64_t> ids(static_cast<std::size_t>(data.test->size()));
  std::iota(ids.begin(), ids.end(), 0);
  const auto alone = ThreadWorld(1).Connect(0);
  const Evaluation result = Evaluate(*saved.model, *data.test, {ids.data(), data.test->size()}, *alone);
  if (flags.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"model", saved.name},
                                              {"dataset", data.name},
                                              {"test_accuracy", result.accuracy},
                                              {"test_loss", result.loss},
                                              {"samples", result.samples}}
                           .dump());
  } else {
    fmt::print("{} on {}: test accuracy {:.4f}, test loss {:.4f} ({} samples)\n", saved.name, data.name,
               result.accuracy, result.loss, result.samples);
  }
  return 0;
}

}  // namespace

void AddEvaluateCommand(CLI::App& tool, const CommandContext& context, Action& run) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = tool.add_subcommand("evaluate", "Evaluate a saved model on a test set");
  command->footer("Example: swarmsync evaluate --weights runs/first/model.safetensors --dataset mnist");
  command->add_option("--weights", flags->weights, "model.safetensors of a run")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--dataset", flags->dataset, "a data set, as train takes it [the one it was trained on]")
      ->type_name("TEXT");
  command
      ->add_option("--data-dir", flags->data_dir,
                   "where data sets are kept [$SWARMSYNC_DATA_DIR or ~/.local/share/swarmsync]")
      ->type_name("DIR");
  command->add_option("--model", flags->model, "refuse a file that holds another model")->type_name("NAME");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback(
      [&run, &context, flags] { run = [&context, flags] { return EvaluateModel(*flags, context.models); }; });
}

}  // namespace swarmsync
