// Collectives through memory that processes share. Each rank has three slots of a megabyte there, and a
// collective goes through its tensor chunk by chunk, a chunk in each turn, so that what is exchanged stays in
// the caches. In a turn, every rank writes its chunk into the slot of the turn; then they meet at a barrier,
// after which all read each other's:
//   all-gather, all-to-all: from all slots;
//   broadcast:  from the root's;
//   all-reduce: a rank adds up its part of the chunk and writes the sum where its own numbers were, which
//               nobody else reads; in the turn after that all read the sums. So a turn has the copying in of
//               one chunk, the sums of the one before and the copying out of the one before that.
// A slot is written again three turns later, after a barrier that nobody has come to who still reads it.

#include "swarmsync/comm/shared_memory.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "comm/add_up.h"
#include "comm/long_waits.h"
#include "comm/passing_communicator.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kSlots = 3, kSlotBytes = 1 << 20;
constexpr int kSpins = 2000;  // some 50 us, where there is a core for each rank

// Why a group is of no use any more, with the rank to blame: in place of the number of barriers, so that a
// barrier is either passed, by all, or never.
enum class Failure : std::uint32_t { kLeft = 1, kDied, kLate, kStuck };
constexpr std::uint32_t kFailed = 1u << 31, kCount = kFailed - 1, kRankBits = 24;

std::uint32_t Pack(Failure failure, int rank) {
  return kFailed | static_cast<std::uint32_t>(failure) << kRankBits | static_cast<std::uint32_t>(rank);
}

// What lies at the beginning of the memory. All zero is its initial state.
struct Header {
  struct Rank {
    std::atomic<std::uint32_t> arrived_at;  // the barrier where it was last seen
    std::atomic<std::uint32_t> left;        // it makes no collective any more
    std::atomic<std::int32_t> pid;
    std::atomic<std::uint64_t> started;  // of that process, in the kernel's ticks
  };
  std::atomic<std::uint32_t>
      barrier;  // so many have been passed, or a failure; who waits, waits for a change
  std::atomic<std::uint32_t> arrived;  // at the next one
  Rank ranks[];
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4,
              "processes share it, and the kernel looks at it");

std::size_t HeaderBytes(int ranks) {
  constexpr std::size_t kPage = 4096;
  return (sizeof(Header) + static_cast<std::size_t>(ranks) * sizeof(Header::Rank) + kPage - 1) / kPage *
         kPage;
}

std::size_t BytesOf(int ranks) {
  return HeaderBytes(ranks) + static_cast<std::size_t>(ranks * kSlots * kSlotBytes);
}

// Memory of all, mapped here; empty where that was not possible.
class Mapping {
 public:
  Mapping() = default;
  Mapping(int file, std::size_t bytes) : bytes_(bytes) {
    struct stat status {};
    if (file < 0 || fstat(file, &status) != 0 || static_cast<std::size_t>(status.st_size) != bytes) return;
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) memory_ = static_cast<std::uint8_t*>(memory);
  }
  ~Mapping() {
    if (memory_ != nullptr) munmap(memory_, bytes_);
  }
  Mapping(Mapping&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&&) = delete;

  std::uint8_t* get() const { return memory_; }

 private:
  std::uint8_t* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

// Two processes with the same text see each other's pids; "" where that cannot be known.
std::string ThisHost() {
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(boot, text);
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self", error);
  if (text.empty() || error || self != std::to_string(getpid())) return "";  // another namespace's /proc
  const auto name_space = std::filesystem::read_symlink("/proc/self/ns/pid", error);
  return error ? "" : text + name_space.string();
}

// Memory of so many bytes that only its name in /proc leads to; -1 where there is none to be had.
int MakeFile(const std::string& name, std::size_t bytes) {
  const int file = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) == 0) return file;
  close(file);
  return -1;
}

// That file of another process; -1 where it cannot be opened, or is another.
int OpenFile(const std::string& name, const std::string& path) {
  std::error_code error;
  const std::string target = std::filesystem::read_symlink(path, error).string();
  if (error || target.rfind("/memfd:" + name, 0) != 0) return -1;
  return open(path.c_str(), O_RDWR | O_CLOEXEC);
}

// Takes the memory now, so that there is none missing later. Kernels before 5.14 cannot.
bool Populate(std::uint8_t* memory, std::size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE
  return madvise(memory, bytes, kPopulateWrite) == 0 || errno == EINVAL;
}

// When the process started; 0 when it cannot be told, nullopt when it has ended, though nobody may have asked
// how.
std::optional<std::uint64_t> StartOf(std::int32_t pid) {
  const FileDescriptor file(open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0)
    return errno == ENOENT || errno == ESRCH ? std::nullopt : std::optional<std::uint64_t>(0);
  char text[1024];
  const ssize_t size = read(file.get(), text, sizeof text - 1);
  if (size <= 0) return errno == ESRCH ? std::nullopt : std::optional<std::uint64_t>(0);
  // "pid (name) state …", the start being the 20th word from the state on.
  const std::string all(text, static_cast<std::size_t>(size));
  std::istringstream words(all.substr(all.rfind(')') + 1));
  std::vector<std::string> found;
  for (std::string word; words >> word;) found.push_back(word);
  if (found.size() < 20) return 0;
  if (found[0] == "Z" || found[0] == "X") return std::nullopt;
  return std::strtoull(found[19].c_str(), nullptr, 10);
}

class SharedMemoryCommunicator : public Communicator {
 public:
  SharedMemoryCommunicator(std::unique_ptr<Communicator> inner, Mapping mapping,
                           std::chrono::duration<double> timeout, std::string host)
      : inner_(std::move(inner)),
        mapping_(std::move(mapping)),
        timeout_(timeout),
        host_(std::move(host)),
        rank_(inner_->rank()),
        size_(inner_->size()),
        spins_(static_cast<int>(std::thread::hardware_concurrency()) >= size_ ? kSpins : 0) {
    header().ranks[rank_].pid = getpid();
    header().ranks[rank_].started = StartOf(getpid()).value_or(0);
    inner_->Barrier();  // from here on all have a pid
  }
  ~SharedMemoryCommunicator() override {
    header().ranks[rank_].left = 1;
    Wake();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    if (!in.is_cpu()) return inner_->AllReduce(in, factors, out);
    const at::Tensor from = in.view(-1), to = out.view(-1);
    const auto width = static_cast<std::int64_t>(in.element_size());
    const Chunks chunks(from.numel(), kSlotBytes / width);
    const auto numbers_of = [&](std::int64_t chunk, int rank) {
      return at::from_blob(SlotOf(turn_ + chunk, rank), {chunks.size(chunk)}, in.options());
    };
    const bool contributes = factors.empty() || factors[static_cast<std::size_t>(rank_)] != 0;
    for (std::int64_t step = 0; step < chunks.count() + 2; ++step) {
      if (step < chunks.count() && contributes) numbers_of(step, rank_).copy_(chunks.Of(from, step));
      if (const std::int64_t chunk = step - 1; chunk >= 0 && chunk < chunks.count()) {
        std::vector<at::Tensor> parts;
        for (int rank = 0; rank < size_; ++rank)
          parts.push_back(PartOf(numbers_of(chunk, rank), rank_, size_));
        AddUp(parts, factors, parts[static_cast<std::size_t>(rank_)]);
      }
      if (const std::int64_t chunk = step - 2; chunk >= 0) {
        for (int rank = 0; rank < size_; ++rank)
          PartOf(chunks.Of(to, chunk), rank, size_).copy_(PartOf(numbers_of(chunk, rank), rank, size_));
      }
      if (step < chunks.count() + 1) Meet("all-reduce");
    }
    turn_ += chunks.count() + 1;
  }

  void Broadcast(const at::Tensor& inout, int root) override {
    if (!inout.is_cpu()) return inner_->Broadcast(inout, root);
    auto* const bytes = static_cast<std::uint8_t*>(inout.data_ptr());
    InTurns(
        "broadcast", static_cast<std::int64_t>(inout.nbytes()), kSlotBytes,
        [&](std::int64_t begin, std::int64_t count) {
          if (rank_ == root) std::memcpy(Slot(root), bytes + begin, static_cast<std::size_t>(count));
        },
        [&](std::int64_t begin, std::int64_t count) {
          if (rank_ != root) std::memcpy(bytes + begin, Slot(root), static_cast<std::size_t>(count));
        });
  }

  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    Gather("all-gather", mine, 0, bytes, all);
  }

  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    Gather("all-to-all", mine, bytes, bytes, all);
  }

  std::unique_ptr<Communicator> Split(int color, double patience) override {
    std::unique_ptr<Communicator> group = inner_->Split(color, patience);
    return group ? ThroughSharedMemory(std::move(group), patience * timeout_, host_) : nullptr;
  }

 private:
  // A tensor of one dimension in parts of at most so many numbers.
  class Chunks {
   public:
    Chunks(std::int64_t numbers, std::int64_t most) : numbers_(numbers), most_(most) {}
    std::int64_t count() const { return (numbers_ + most_ - 1) / most_; }
    std::int64_t size(std::int64_t chunk) const { return std::min(most_, numbers_ - chunk * most_); }
    at::Tensor Of(const at::Tensor& flat, std::int64_t chunk) const {
      return flat.narrow(0, chunk * most_, size(chunk));
    }

   private:
    std::int64_t numbers_, most_;
  };

  Header& header() const { return *reinterpret_cast<Header*>(mapping_.get()); }

  // What a rank writes in a turn.
  std::uint8_t* SlotOf(std::int64_t turn, int rank) const {
    return mapping_.get() + HeaderBytes(size_) + (rank * kSlots + turn % kSlots) * kSlotBytes;
  }
  std::uint8_t* Slot(int rank) const { return SlotOf(turn_, rank); }

  // From each rank the same number of bytes for each rank. stride: from what goes to one to what goes to the
  // next; with 0 all get the same.
  void Gather(const char* what, const void* mine, std::size_t stride, std::size_t bytes, void* all) {
    const auto* const from = static_cast<const std::uint8_t*>(mine);
    auto* const to = static_cast<std::uint8_t*>(all);
    const int messages = stride == 0 ? 1 : size_;
    InTurns(
        what, static_cast<std::int64_t>(bytes), kSlotBytes / messages,
        [&](std::int64_t begin, std::int64_t count) {
          for (int i = 0; i < messages; ++i)
            std::memcpy(Slot(rank_) + i * count, from + i * stride + begin, static_cast<std::size_t>(count));
        },
        [&](std::int64_t begin, std::int64_t count) {
          for (int rank = 0; rank < size_; ++rank) {
            std::memcpy(to + rank * bytes + begin, Slot(rank) + (stride == 0 ? 0 : rank_ * count),
                        static_cast<std::size_t>(count));
          }
        });
  }

  // Goes through `bytes`: write(begin, count), the barrier, read(begin, count). A message of no bytes has one
  // turn too, so that it is a barrier.
  template <class Write, class Read>
  void InTurns(const char* what, std::int64_t bytes, std::int64_t most, Write&& write, Read&& read) {
    std::int64_t begin = 0;
    do {
      const std::int64_t count = std::min(most, bytes - begin);
      if (count > 0) write(begin, count);
      Meet(what);
      if (count > 0) read(begin, count);
      ++turn_;
      begin += count;
    } while (begin < bytes);
  }

  void Meet(const char* what) {
    Header& shared = header();
    const std::uint32_t mine = shared.barrier, next = (mine + 1) & kCount;
    if (mine & kFailed) Throw(what, mine);
    shared.ranks[rank_].arrived_at = next;
    if (shared.arrived.fetch_add(1) + 1 == static_cast<std::uint32_t>(size_)) {
      shared.arrived = 0;
      std::uint32_t now = mine;
      if (!shared.barrier.compare_exchange_strong(now, next)) Throw(what, now);
      return Wake();
    }
    for (int i = 0; i < spins_ && shared.barrier == mine; ++i) Pause();
    if (shared.barrier == mine) Sleep(mine, next);
    if (const std::uint32_t now = shared.barrier; now & kFailed) Throw(what, now);
  }

  // Until the barrier is passed, or given up.
  void Sleep(std::uint32_t barrier, std::uint32_t next) {
    const double since = MonotonicSeconds();
    std::optional<LongWait> long_wait;
    while (true) {
      SleepAt(barrier);
      if (header().barrier != barrier) return;
      if (!long_wait) long_wait.emplace(Wait{rank_, size_, since, timeout_.count(), {}});
      std::vector<int> missing;
      for (int rank = 0; rank < size_; ++rank) {
        if (header().ranks[rank].arrived_at != next) missing.push_back(rank);
      }
      long_wait->Awaits(missing);
      LookAround(barrier, next, MonotonicSeconds() > since + timeout_.count());
    }
  }

  // Gives the group up when nobody will come any more.
  void LookAround(std::uint32_t barrier, std::uint32_t next, bool late) {
    Header& shared = header();
    bool all_came = true;
    for (int rank = 0; rank < size_; ++rank) {
      const Header::Rank& other = shared.ranks[rank];
      const bool came = other.arrived_at == next;
      all_came = all_came && came;
      const auto start = StartOf(other.pid);
      if (!start || (*start != 0 && *start != other.started)) return GiveUp(barrier, Failure::kDied, rank);
      if (!came && other.left) return GiveUp(barrier, Failure::kLeft, rank);
      if (!came && late) return GiveUp(barrier, Failure::kLate, rank);
    }
    // One of them, the last to come, has not let the others go on.
    if (all_came && late) GiveUp(barrier, Failure::kStuck, 0);
  }

  // Unless the barrier has been passed meanwhile.
  void GiveUp(std::uint32_t barrier, Failure failure, int rank) {
    header().barrier.compare_exchange_strong(barrier, Pack(failure, rank));
    Wake();
  }

  [[noreturn]] void Throw(const char* what, std::uint32_t failed) const {
    const int rank = static_cast<int>(failed & ((1u << kRankBits) - 1));
    const auto reason = [&]() -> std::string {
      switch (static_cast<Failure>((failed & kCount) >> kRankBits)) {
        case Failure::kLeft:
          return fmt::format("rank {} has left", rank);
        case Failure::kDied:
          return fmt::format("rank {} has died", rank);
        case Failure::kLate:
          return fmt::format("rank {} did not come within {:g} s", rank, timeout_.count());
        case Failure::kStuck:
          break;
      }
      return fmt::format("the last rank to come did not go on within {:g} s", timeout_.count());
    };
    throw CommError(fmt::format("{} failed on rank {} of {}: {}", what, rank_, size_, reason()));
  }

  void SleepAt(std::uint32_t barrier) const {
    timespec time{};
    time.tv_nsec = static_cast<long>(1e9 * kLookAround);
    syscall(SYS_futex, &header().barrier, FUTEX_WAIT, barrier, &time, nullptr, 0);
  }
  void Wake() const { syscall(SYS_futex, &header().barrier, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

  static void Pause() {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }

  std::unique_ptr<Communicator> inner_;
  Mapping mapping_;
  std::chrono::duration<double> timeout_;
  std::string host_;
  int rank_, size_;
  int spins_;
  std::int64_t turn_ = 0;
};

// A group over several hosts, parts of which share memory.
class OverHosts : public PassingCommunicator {
 public:
  OverHosts(std::unique_ptr<Communicator> inner, std::chrono::duration<double> timeout, std::string host)
      : PassingCommunicator(*inner), inner_(std::move(inner)), timeout_(timeout), host_(std::move(host)) {}

  std::unique_ptr<Communicator> Split(int color, double patience) override {
    std::unique_ptr<Communicator> group = inner_->Split(color, patience);
    return group ? ThroughSharedMemory(std::move(group), patience * timeout_, host_) : nullptr;
  }

 private:
  std::unique_ptr<Communicator> inner_;
  std::chrono::duration<double> timeout_;
  std::string host_;
};

bool IsDisabled() {
  const char* const value = std::getenv("SWARMSYNC_SHM_DISABLE");
  return value != nullptr && *value != '\0' && std::string(value) != "0";
}

}  // namespace

std::unique_ptr<Communicator> ThroughSharedMemory(std::unique_ptr<Communicator> inner,
                                                  std::chrono::duration<double> timeout, std::string host) {
  if (inner->size() == 1) return inner;
  if (host.empty()) host = ThisHost();
  const std::vector<std::string> hosts = inner->AllGather(IsDisabled() ? "" : host);
  if (std::find(hosts.begin(), hosts.end(), "") != hosts.end()) return inner;
  if (std::any_of(hosts.begin(), hosts.end(), [&](const auto& other) { return other != hosts[0]; }))
    return std::make_unique<OverHosts>(std::move(inner), timeout, host);

  // Rank 0 makes it; the others find it among rank 0's open files.
  const std::size_t bytes = BytesOf(inner->size());
  const bool makes = inner->rank() == 0;
  const std::string name =
      inner->AllGather(makes ? fmt::format("swarmsync-{:x}", std::random_device()()) : std::string())[0];
  const FileDescriptor made(makes ? MakeFile(name, bytes) : -1);
  const std::string path =
      inner->AllGather(makes ? fmt::format("/proc/{}/fd/{}", getpid(), made.get()) : std::string())[0];
  const FileDescriptor opened(makes ? -1 : OpenFile(name, path));
  Mapping mapping(makes ? made.get() : opened.get(), bytes);
  const auto slots = static_cast<std::size_t>(kSlots * kSlotBytes);
  const std::size_t mine = HeaderBytes(inner->size()) + static_cast<std::size_t>(inner->rank()) * slots;
  const bool ready = mapping.get() != nullptr && Populate(mapping.get() + mine, slots) &&
                     Populate(mapping.get(), HeaderBytes(inner->size()));
  const std::vector<double> all_ready = inner->AllGather(ready ? 1.0 : 0.0);
  if (std::find(all_ready.begin(), all_ready.end(), 0.0) != all_ready.end()) return inner;
  return std::make_unique<SharedMemoryCommunicator>(std::move(inner), std::move(mapping), timeout, host);
}

}  // namespace swarmsync
