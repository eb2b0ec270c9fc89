// Collectives through memory that processes share. Each rank has three slots of a megabyte there, and a
// collective goes through its tensor chunk by chunk, a chunk in each turn, so that what is exchanged stays in
// the caches. In a turn, every rank writes its chunk into the slot of the turn; then they meet at a barrier,
// after which all read each other's:
//   all-gather, all-to-all: from all slots;
//   broadcast:  from the root's;
//   all-reduce: a rank adds up its part of the chunk and writes the sum where its own numbers were, which
//               nobody else reads; in the turn after that all read the sums. So a turn has the copying in of
//               one chunk, the sums of the one before and the copying out of the one before that.
// A slot is written again three turns later: since then there were two barriers that whoever still read it
// has not passed.

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
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "comm/add_up.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

constexpr std::int64_t kSlots = 3, kSlotBytes = 1 << 20;
constexpr double kLookAround = 0.05;  // seconds between two looks at whom one waits for
constexpr int kSpins = 2000;          // some 50 us, where there is a core for each rank

// What lies at the beginning of the memory. All zero is its initial state.
struct Header {
  struct Rank {
    std::atomic<std::uint32_t> arrived_at;  // the barrier where it was last seen, counted from 1
    std::atomic<std::uint32_t> left;        // it makes no collective any more
    std::atomic<std::int32_t> pid;
  };
  std::atomic<std::uint32_t> barrier;  // so many have been passed; who waits, waits for it to change
  std::atomic<std::uint32_t> arrived;  // at the next one
  std::atomic<std::uint32_t> failed;   // 1 + the rank that noticed it first
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

// Closes it at the end.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// Two processes with the same text see each other's pids.
std::string Host() {
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(boot, text);
  char name_space[64] = {};
  if (text.empty() || readlink("/proc/self/ns/pid", name_space, sizeof name_space - 1) < 0) return "";
  return text + name_space;
}

// Memory of so many bytes without a name; -1 where there is none to be had.
int MakeFile(std::size_t bytes) {
  const int file = memfd_create("swarmsync", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) == 0) return file;
  close(file);
  return -1;
}

// Whether the process has ended, though nobody may have asked how.
bool IsGone(std::int32_t pid) {
  std::ifstream status(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(status, text)) return true;
  const std::size_t name_end = text.rfind(')');
  return name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] == 'Z';
}

class SharedMemoryCommunicator : public Communicator {
 public:
  SharedMemoryCommunicator(std::unique_ptr<Communicator> inner, Mapping mapping,
                           std::chrono::duration<double> timeout)
      : inner_(std::move(inner)),
        mapping_(std::move(mapping)),
        timeout_(timeout),
        rank_(inner_->rank()),
        size_(inner_->size()),
        spins_(static_cast<int>(std::thread::hardware_concurrency()) >= size_ ? kSpins : 0) {
    header().ranks[rank_].pid = getpid();
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
    return group ? ThroughSharedMemory(std::move(group), patience * timeout_) : nullptr;
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
      write(begin, count);
      Meet(what);
      read(begin, count);
      ++turn_;
      begin += count;
    } while (begin < bytes);
  }

  void Meet(const char* what) {
    Header& shared = header();
    const std::uint32_t mine = shared.barrier;
    shared.ranks[rank_].arrived_at = mine + 1;
    if (shared.arrived.fetch_add(1) + 1 == static_cast<std::uint32_t>(size_)) {
      shared.arrived = 0;
      shared.barrier = mine + 1;
      Wake();
      return;
    }
    const auto passed = [&] { return shared.barrier != mine; };
    for (int i = 0; i < spins_; ++i) {
      if (passed()) return;
      Pause();
    }
    const double deadline = MonotonicSeconds() + timeout_.count();
    while (!passed()) {
      SleepAt(mine);
      if (!passed()) LookAround(what, mine, deadline);
    }
  }

  // Throws when nobody will come any more.
  void LookAround(const char* what, std::uint32_t barrier, double deadline) {
    Header& shared = header();
    const auto fail = [&](const std::string& reason) {
      std::uint32_t nobody = 0;
      shared.failed.compare_exchange_strong(nobody, static_cast<std::uint32_t>(rank_) + 1);
      Wake();
      throw CommError(fmt::format("{} failed on rank {} of {}: {}", what, rank_, size_, reason));
    };
    for (int rank = 0; rank < size_; ++rank) {
      const Header::Rank& other = shared.ranks[rank];
      if (other.arrived_at == barrier + 1) continue;
      // It may have come, gone on and left since.
      if (other.left && shared.barrier == barrier) fail(fmt::format("rank {} has left", rank));
      if (IsGone(other.pid) && shared.barrier == barrier) fail(fmt::format("rank {} has died", rank));
      if (MonotonicSeconds() > deadline && shared.barrier == barrier)
        fail(fmt::format("rank {} did not come within {:g} s", rank, timeout_.count()));
    }
    if (const std::uint32_t failed = shared.failed; failed != 0 && shared.barrier == barrier)
      fail(fmt::format("it has failed on rank {}", failed - 1));
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
  int rank_, size_;
  int spins_;
  std::int64_t turn_ = 0;
};

bool IsDisabled() {
  const char* const value = std::getenv("SWARMSYNC_SHM_DISABLE");
  return value != nullptr && *value != '\0' && std::string(value) != "0";
}

}  // namespace

std::unique_ptr<Communicator> ThroughSharedMemory(std::unique_ptr<Communicator> inner,
                                                  std::chrono::duration<double> timeout) {
  if (inner->size() == 1) return inner;
  const std::vector<std::string> hosts = inner->AllGather(IsDisabled() ? "" : Host());
  if (hosts[0].empty() ||
      std::any_of(hosts.begin(), hosts.end(), [&](const auto& host) { return host != hosts[0]; }))
    return inner;

  // Rank 0 makes it, without a name; the others find it among rank 0's open files.
  const std::size_t bytes = BytesOf(inner->size());
  const bool makes = inner->rank() == 0;
  const File made(makes ? MakeFile(bytes) : -1);
  const std::string path =
      inner->AllGather(makes ? fmt::format("/proc/{}/fd/{}", getpid(), made.get()) : std::string())[0];
  const File opened(makes ? -1 : open(path.c_str(), O_RDWR | O_CLOEXEC));
  Mapping mapping(makes ? made.get() : opened.get(), bytes);
  const std::vector<double> mapped = inner->AllGather(mapping.get() != nullptr ? 1.0 : 0.0);
  if (std::find(mapped.begin(), mapped.end(), 0.0) != mapped.end()) return inner;
  return std::make_unique<SharedMemoryCommunicator>(std::move(inner), std::move(mapping), timeout);
}

}  // namespace swarmsync
