// Every collective is one of MPI's that does not block, and is asked for until it is done or the time is
// over: MPI itself has no deadlines, so starting it, and splitting a group, have none.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "comm/add_up.h"
#include "comm/long_waits.h"
#include "comm/through_host.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/mpi.h"
#include "swarmsync/launch/environment.h"

namespace swarmsync {
namespace {

constexpr std::size_t kBlockBytes =
    64 << 20;                     // of a tensor at a time, which bounds the memory for others' parts
constexpr double kEager = 0.002;  // seconds of a wait in which it asks again at once
constexpr std::chrono::microseconds kPause(100);

void Check(int code) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int size = 0;
  MPI_Error_string(code, text, &size);
  throw CommError(std::string(text, static_cast<std::size_t>(size)));
}

// Whether a process may still end MPI in an orderly way, which waits for the others.
std::atomic<bool>& Orderly() {
  static std::atomic<bool> orderly = true;
  return orderly;
}

void EndMpi() {
  int ended = 0;
  if (MPI_Finalized(&ended) == MPI_SUCCESS && !ended && Orderly()) MPI_Finalize();
}

void StartMpi() {
  int started = 0, level = MPI_THREAD_SINGLE;
  Check(MPI_Initialized(&started));
  if (started) {
    Check(MPI_Query_thread(&level));
  } else {
    Check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level));
    std::atexit(EndMpi);
  }
  if (level < MPI_THREAD_MULTIPLE) {
    throw UsageError(
        "MPI was started without MPI_THREAD_MULTIPLE, which swarmsync needs; call MPI_Init_thread() with it");
  }
}

// A program under another MPI's mpirun is a world of one, as many times as it was started.
void CheckLauncher(int size) {
  const auto launched = DiscoverRank(GetEnvironment);
  if (!launched || size > 1 || launched->size == 1) return;
  char version[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(version, &length);
  throw UsageError(
      fmt::format("{} says that there are {} ranks, and MPI finds one; start them with the mpirun of "
                  "this MPI ({})",
                  launched->variable, launched->size,
                  std::string(version, 0, std::string(version).find_first_of(",\n"))));
}

class MpiCommunicator : public Communicator {
 public:
  // Takes the communicator over.
  MpiCommunicator(MPI_Comm ranks, std::chrono::duration<double> timeout) : ranks_(ranks), timeout_(timeout) {
    MPI_Comm_set_errhandler(ranks_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(ranks_, &rank_);
    MPI_Comm_size(ranks_, &size_);
  }
  ~MpiCommunicator() override {
    // The others would wait for a rank that has failed, and it for them.
    if (std::uncaught_exceptions() > 0) Orderly() = false;
    int ended = 0;
    if (Orderly() && MPI_Finalized(&ended) == MPI_SUCCESS && !ended) MPI_Comm_free(&ranks_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    AllReduceThroughHost(in, out, [&](const at::Tensor& from, const at::Tensor& to) {
      const auto blocks = static_cast<std::int64_t>(from.nbytes() / kBlockBytes + 1);
      for (std::int64_t k = 0; k < blocks && from.numel() > 0; ++k)
        AddUpBlock(PartOf(from.view(-1), k, blocks), factors, PartOf(to.view(-1), k, blocks));
    });
  }

  void Broadcast(const at::Tensor& inout, int root) override {
    BroadcastThroughHost(inout, [&](const at::Tensor& here) {
      auto* const bytes = static_cast<char*>(here.data_ptr());
      constexpr std::size_t kMost = 1 << 30;
      for (std::size_t at = 0; at < here.nbytes(); at += kMost) {
        const int count = static_cast<int>(std::min(kMost, here.nbytes() - at));
        Wait("broadcast", [&](MPI_Request* request) {
          return MPI_Ibcast(bytes + at, count, MPI_BYTE, root, ranks_, request);
        });
      }
    });
  }

  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    const int count = CountOf(bytes);
    Wait("all-gather", [&](MPI_Request* request) {
      return MPI_Iallgather(mine, count, MPI_BYTE, all, count, MPI_BYTE, ranks_, request);
    });
  }

  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    const int count = CountOf(bytes);
    Wait("all-to-all", [&](MPI_Request* request) {
      return MPI_Ialltoall(mine, count, MPI_BYTE, all, count, MPI_BYTE, ranks_, request);
    });
  }

  std::unique_ptr<Communicator> Split(int color, double patience) override {
    Barrier();  // with a deadline, which MPI's own call does not have
    MPI_Comm part = MPI_COMM_NULL;
    Check(MPI_Comm_split(ranks_, color < 0 ? MPI_UNDEFINED : color, rank_, &part));
    if (part == MPI_COMM_NULL) return nullptr;
    return std::make_unique<MpiCommunicator>(part, patience * timeout_);
  }

 private:
  // Everybody sends the parts that others own, adds up its own, and sends the sum to all.
  void AddUpBlock(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) {
    const auto element = static_cast<std::int64_t>(in.element_size());
    const at::Tensor mine = PartOf(in, rank_, size_), sum = PartOf(out, rank_, size_);
    const auto part = static_cast<int>(mine.numel() * element);
    std::vector<int> sent(static_cast<std::size_t>(size_)), sent_from(sent), came(sent), came_to(sent);
    for (int r = 0; r < size_; ++r) {
      const auto at = static_cast<std::size_t>(r);
      const at::Tensor theirs = PartOf(in, r, size_);
      sent[at] = static_cast<int>(theirs.numel() * element);
      sent_from[at] = static_cast<int>((theirs.storage_offset() - in.storage_offset()) * element);
      came[at] = part;
      came_to[at] = r * part;
    }
    if (arrived_.numel() < std::int64_t{size_} * part)
      arrived_ = at::empty({std::int64_t{size_} * part}, at::kByte);
    Wait("all-reduce", [&](MPI_Request* request) {
      return MPI_Ialltoallv(in.data_ptr(), sent.data(), sent_from.data(), MPI_BYTE, arrived_.data_ptr(),
                            came.data(), came_to.data(), MPI_BYTE, ranks_, request);
    });
    std::vector<at::Tensor> parts;
    for (int r = 0; r < size_; ++r) {
      parts.push_back(at::from_blob(arrived_.data_ptr<std::uint8_t>() + came_to[static_cast<std::size_t>(r)],
                                    {mine.numel()}, in.options()));
    }
    AddUp(parts, factors, sum);
    Wait("all-reduce", [&](MPI_Request* request) {
      return MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, out.data_ptr(), sent.data(), sent_from.data(),
                             MPI_BYTE, ranks_, request);
    });
  }

  int CountOf(std::size_t bytes) const {
    if (bytes > static_cast<std::size_t>(std::numeric_limits<int>::max()))
      throw UsageError(
          fmt::format("{} bytes from each rank are more than MPI takes in one call; give --wire fp32 or "
                      "--transport gloo",
                      bytes));
    return static_cast<int>(bytes);
  }

  void Wait(const char* what, const std::function<int(MPI_Request*)>& begin) {
    try {
      MPI_Request request = MPI_REQUEST_NULL;
      Check(begin(&request));
      const double since = MonotonicSeconds();
      const LongWait wait({rank_, size_, since, timeout_.count(), {}});
      for (int done = 0; true;) {
        Check(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
        if (done) return;
        const double waited = MonotonicSeconds() - since;
        if (waited > timeout_.count())
          throw CommError(fmt::format("it was not done within {:g} s", timeout_.count()));
        if (waited < kEager) {
          std::this_thread::yield();
        } else {
          std::this_thread::sleep_for(kPause);
        }
      }
    } catch (const CommError& error) {
      Orderly() = false;
      throw CommError(fmt::format("{} failed on rank {} of {}: {}", what, rank_, size_, error.what()));
    }
  }

  MPI_Comm ranks_;
  std::chrono::duration<double> timeout_;
  int rank_ = 0, size_ = 1;
  at::Tensor arrived_ = at::empty({0}, at::kByte);  // the parts of an all-reduce that this rank adds up
};

}  // namespace

std::unique_ptr<Communicator> ConnectMpi(std::chrono::duration<double> timeout, MPI_Comm ranks) {
  StartMpi();
  MPI_Comm own = MPI_COMM_NULL;
  Check(MPI_Comm_dup(ranks, &own));
  auto comm = std::make_unique<MpiCommunicator>(own, timeout);
  if (ranks == MPI_COMM_WORLD) CheckLauncher(comm->size());
  return comm;
}

}  // namespace swarmsync
