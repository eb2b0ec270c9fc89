// `swarmsync export`: the weights of one file in a file of another format. What the file says of its model
// goes along.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/commands.h"
#include "cli/flags_of.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/names.h"
#include "swarmsync/params/safetensors.h"
#include "swarmsync/params/state_dict.h"

namespace swarmsync {
namespace {

enum class WeightsFormat { kSafetensors, kStateDict };

}  // namespace

template <>
struct EnumNames<WeightsFormat> {
  static constexpr std::string_view kWhat = "format";
  static constexpr std::array<std::pair<WeightsFormat, std::string_view>, 2> kNames{
      {{WeightsFormat::kSafetensors, "safetensors"}, {WeightsFormat::kStateDict, "state-dict"}}};
};

namespace {

struct ExportFlags {
  std::string weights, out, format;
  bool overwrite = false;
};

WeightsFormat FormatOf(const ExportFlags& flags) {
  if (!flags.format.empty()) return ParseEnum<WeightsFormat>(flags.format);
  const std::string extension = std::filesystem::path(flags.out).extension();
  if (extension == ".safetensors") return WeightsFormat::kSafetensors;
  if (extension == ".pt" || extension == ".pth") return WeightsFormat::kStateDict;
  throw UsageError(fmt::format(
      "--out {} ends in none of .safetensors, .pt and .pth; give --format safetensors or state-dict",
      flags.out));
}

int Export(const ExportFlags& flags) {
  const WeightsFormat format = FormatOf(flags);
  if (!flags.overwrite && std::filesystem::exists(flags.out)) {
    throw UsageError(fmt::format(
        "--out {} is there already; name another file, or give --overwrite to replace it", flags.out));
  }
  const WeightsFile content = LoadWeights(flags.weights);
  (format == WeightsFormat::kStateDict ? SaveStateDict : SaveSafetensors)(flags.out, content);
  fmt::print("{} tensors are in {}\n", content.tensors.size(), flags.out);
  return 0;
}

}  // namespace

void AddExportCommand(CLI::App& tool, const CommandContext&, Action& run) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* command = tool.add_subcommand("export", "Write saved weights in another format");
  command->footer("Example: swarmsync export --weights runs/first/model.safetensors --out model.pt");
  command->add_option("--weights", flags->weights, "model.safetensors of a run, or a PyTorch state dict")
      ->type_name("FILE")
      ->required();
  command->add_option("--out", flags->out, "the file to write")->type_name("FILE")->required();
  CLI::Option* const format =
      command
          ->add_option(
              "--format", flags->format,
              "safetensors, or state-dict, which torch.load reads [by --out: .safetensors, .pt or .pth]")
          ->type_name("NAME");
  SetValues(*format, AllNames<WeightsFormat>());
  command->add_flag("--overwrite", flags->overwrite, "replace a file that is there");
  command->callback([&run, flags] { run = [flags] { return Export(*flags); }; });
}

}  // namespace swarmsync
