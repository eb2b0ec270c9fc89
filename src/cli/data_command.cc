#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include "base/print.h"
#include "cli/commands.h"
#include "cli/flags_of.h"
#include "cli/stop_signals.h"
#include "swarmsync/base/error.h"
#include "swarmsync/data/catalog.h"

namespace swarmsync {
namespace {

struct DataFlags {
  std::string data_dir;
  std::vector<std::string> names;

  std::filesystem::path directory() const {
    return data_dir.empty() ? DefaultDataDir() : std::filesystem::path(data_dir);
  }
};

const char* Describe(DatasetState state) {
  switch (state) {
    case DatasetState::kPresent:
      return "present";
    case DatasetState::kIncomplete:
      return "incomplete";
    case DatasetState::kAbsent:
      break;
  }
  return "absent";
}

int List(const DataFlags& flags) {
  for (const DatasetStatus& status : ListDatasets(flags.directory())) {
    fmt::print("{:<15} {:<11} {}\n{:<27} {}\n", status.name, Describe(status.state), status.description, "",
               status.path.string());
  }
  return 0;
}

void ShowEvent(const GetEvent& event) {
  StopSignals::Check();
  switch (event.kind) {
    case GetEvent::Kind::kAlreadyThere:
      fmt::print("{}: already there, checksum right\n", event.file);
      break;
    case GetEvent::Kind::kTrying:
      fmt::print("{}: asking {}\n", event.file, event.source);
      break;
    case GetEvent::Kind::kReceiving:
      if (IsScreen(stderr)) fmt::print(stderr, "\r{}: {:.1f} MB\033[K\r", event.file, event.received / 1e6);
      break;
    case GetEvent::Kind::kSourceFailed:
      fmt::print("{}: no: {}\n", event.file, event.reason);
      break;
    case GetEvent::Kind::kWritten:
      fmt::print("{}: written, checksum right\n", event.file);
      break;
  }
  std::fflush(stdout);
}

int Get(const DataFlags& flags) {
  for (const std::string& name : flags.names) FindCatalogEntry(name);  // all names before the first download
  const StopSignals signals;
  for (const std::string& name : flags.names) {
    GetDataset(name, flags.directory(), ShowEvent);
    fmt::print("{} is in {}\n", name, (flags.directory() / name).string());
  }
  return 0;
}

int Verify(const DataFlags& flags) {
  int bad = 0;
  for (const std::string& name : flags.names) {
    for (const FileCheck& check : VerifyDataset(name, flags.directory())) {
      const std::string path = check.path.string();
      if (check.state == FileState::kOk) {
        fmt::print("{}: right\n", path);
        continue;
      }
      ++bad;
      if (check.state == FileState::kMissing) {
        fmt::print("{}: missing\n", path);
      } else {
        fmt::print("{}: damaged ({})\n", path,
                   check.found_md5.empty()
                       ? check.reason
                       : fmt::format("md5 {}, not {}", check.found_md5, check.expected_md5));
      }
    }
  }
  if (bad > 0) {
    throw DataError(fmt::format("{} file{} missing or damaged; `swarmsync data get` replaces them", bad,
                                bad == 1 ? " is" : "s are"));
  }
  return 0;
}

}  // namespace

void AddDataCommand(CLI::App& tool, const CommandContext&, Action& run) {
  auto flags = std::make_shared<DataFlags>();
  CLI::App* data = tool.add_subcommand("data", "List, get and verify data sets");
  data->footer("Example: swarmsync data get mnist");
  data->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, int (*action)(const DataFlags&),
                       bool takes_names) {
    CLI::App* command = data->add_subcommand(name, help);
    command
        ->add_option("--data-dir", flags->data_dir,
                     "where data sets are kept [$SWARMSYNC_DATA_DIR or ~/.local/share/swarmsync]")
        ->type_name("DIR");
    if (takes_names) {
      std::vector<std::string> names;
      for (const CatalogEntry& entry : Catalog()) names.push_back(entry.name);
      SetValues(*command->add_option("names", flags->names, fmt::format("{}", fmt::join(names, ", ")))
                     ->type_name("NAME")
                     ->required(),
                names);
    }
    command->callback([&run, flags, action] { run = [flags, action] { return action(*flags); }; });
  };
  add("list", "What there is, and what of it is on this machine", List, false);
  add("get", "Download data sets and check them", Get, true);
  add("verify", "Check the files of data sets against their checksums", Verify, true);
}

}  // namespace swarmsync
