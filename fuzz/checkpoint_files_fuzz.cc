// What lies in a directory of checkpoints: the name of a round, of files in it, a line each, and, behind a
// form feed, what is in all of them.

#include "fuzz/input.h"
#include "swarmsync/checkpoint/checkpoint_directory.h"

namespace swarmsync {
namespace {

bool IsName(std::string_view name) {
  return !name.empty() && name.size() < 200 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

}  // namespace
}  // namespace swarmsync

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  constexpr int kMostFiles = 8;
  const std::vector<std::string_view> parts = SplitInput(Text(data, size), 2);
  std::string_view names = parts[0];
  const auto next = [&names] {
    const std::string_view name = names.substr(0, names.find('\n'));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    return name;
  };
  const CheckpointDirectory directory(InputDirectory() / "checkpoint");
  const std::string_view round = next();
  if (!IsName(round)) return 0;
  std::filesystem::create_directories(directory.path() / round);
  for (int i = 0; i < kMostFiles && !names.empty(); ++i) {
    const std::string_view name = next();
    if (IsName(name)) WriteInput(directory.path() / round / name, parts[1]);
  }
  for (const auto& checkpoint : directory.Complete()) {
    for (int rank = 0; rank < checkpoint.world_size; ++rank)
      ReadOrRefuse([&] { directory.Load(checkpoint, rank); });
  }
  directory.KeepOnly({}, 1);
  std::filesystem::remove_all(directory.path());
  return 0;
}
