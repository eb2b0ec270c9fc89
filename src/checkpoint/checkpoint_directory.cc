#include "swarmsync/checkpoint/checkpoint_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <system_error>

#include "base/digest.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"

namespace swarmsync {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRound = "round-", kRank = "rank-", kOf = "-of-", kChecksum = ".sha256";

std::string NameOf(const CheckpointDirectory::Checkpoint& checkpoint, int rank) {
  return fmt::format("{}{}{}{}", kRank, rank, kOf, checkpoint.world_size);
}

// The whole number that `text` is, if it is one.
std::optional<std::int64_t> WholeNumber(const std::string& text) {
  const bool digits =
      !text.empty() && text.size() < 18 && text.find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::optional(std::stoll(text)) : std::nullopt;
}

std::optional<std::int64_t> RoundOf(const std::string& name) {
  return name.rfind(kRound, 0) == 0 ? WholeNumber(name.substr(kRound.size())) : std::nullopt;
}

// How many ranks' checksums a checkpoint has, by the size of the world that they are of.
std::map<std::int64_t, std::set<std::int64_t>> RanksIn(const fs::path& checkpoint) {
  std::map<std::int64_t, std::set<std::int64_t>> ranks;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(checkpoint, ignored)) {
    std::string name = entry.path().filename().string();
    const std::size_t end = name.size() - std::min(name.size(), kChecksum.size()), of = name.find(kOf);
    if (name.substr(end) != kChecksum || name.rfind(kRank, 0) != 0 || of == std::string::npos) continue;
    const auto rank = WholeNumber(name.substr(kRank.size(), of - kRank.size()));
    const auto size = WholeNumber(name.substr(of + kOf.size(), end - of - kOf.size()));
    if (rank && size && *rank < *size) ranks[*size].insert(*rank);
  }
  return ranks;
}

}  // namespace

fs::path CheckpointDirectory::PathOf(std::int64_t round) const {
  return path_ / fmt::format("{}{:08}", kRound, round);
}

void CheckpointDirectory::Save(const Checkpoint& checkpoint, int rank, const WeightsFile& part) const {
  const fs::path directory = PathOf(checkpoint.round);
  const std::string name = NameOf(checkpoint, rank), file = name + ".safetensors";
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw RunError(fmt::format("cannot create {}: {}", directory.string(), error.message()));
  fs::remove(directory / (name + std::string(kChecksum)), error);  // of a part that is replaced
  SaveSafetensors(directory / file, part);
  const MappedFile written(directory / file);
  WriteFileAtomically(directory / (name + std::string(kChecksum)),
                      fmt::format("{}  {}\n", Sha256Hex(written.data(), written.size()), file));
}

WeightsFile CheckpointDirectory::Load(const Checkpoint& checkpoint, int rank) const {
  const fs::path directory = PathOf(checkpoint.round);
  const std::string name = NameOf(checkpoint, rank);
  const fs::path file = directory / (name + ".safetensors");
  const std::string stated = ReadFile(directory / (name + std::string(kChecksum)));
  {
    const MappedFile content(file);
    const std::string found = Sha256Hex(content.data(), content.size());
    if (stated.substr(0, found.size()) != found) {
      throw DataError(fmt::format("{} is damaged: its SHA-256 is {}… and should be {}…", file.string(),
                                  found.substr(0, 8), stated.substr(0, 8)));
    }
  }
  return LoadSafetensors(file);
}

std::vector<CheckpointDirectory::Checkpoint> CheckpointDirectory::Complete() const {
  std::vector<Checkpoint> complete;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, ignored)) {
    const auto round = RoundOf(entry.path().filename().string());
    if (!round) continue;
    for (const auto& [size, ranks] : RanksIn(entry.path())) {
      if (static_cast<std::int64_t>(ranks.size()) == size)
        complete.push_back({*round, static_cast<int>(size)});
    }
  }
  std::sort(complete.begin(), complete.end(),
            [](const Checkpoint& a, const Checkpoint& b) { return a.round > b.round; });
  return complete;
}

void CheckpointDirectory::KeepOnly(const std::vector<std::int64_t>& rounds, std::int64_t up_to) const {
  std::error_code ignored;
  std::vector<fs::path> others;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, ignored)) {
    const auto round = RoundOf(entry.path().filename().string());
    if (round && *round <= up_to && std::count(rounds.begin(), rounds.end(), *round) == 0)
      others.push_back(entry.path());
  }
  for (const fs::path& path : others) fs::remove_all(path, ignored);
}

}  // namespace swarmsync
