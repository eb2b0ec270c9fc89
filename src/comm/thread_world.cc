// Collectives between threads. Every rank posts the address of its buffer; when all have, each rank does its
// share of the work directly in all buffers; when all are done, the collective is over:
//   all-reduce: rank r owns the r-th part, sums that part over all inputs and writes it to all outputs;
//   broadcast:  every rank copies from the root's buffer;
//   all-gather, all-to-all: every rank copies from all buffers.
// No rank touches what another one may write between the same two barriers.
//
// Tensors on a GPU stay there. Each rank enqueues its share on its own stream, which first waits there for
// the streams of all ranks to have got to the collective, and afterwards for all shares to be done; the
// threads meet at the barriers only to enqueue.

#include "swarmsync/comm/thread_world.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "comm/add_up.h"
#include "comm/current_stream.h"
#include "comm/long_waits.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {

struct ThreadWorld::State {
  explicit State(int world_size, std::chrono::duration<double> wait_timeout)
      : size(world_size),
        timeout(wait_timeout),
        tensors(world_size),
        outputs(world_size),
        memory(world_size),
        posted(world_size),
        shared(world_size),
        arrived(world_size) {}

  const int size;
  const std::chrono::duration<double> timeout;

  // What the ranks posted for the collective under way. A rank writes its own entry before a barrier and
  // reads others' after it; the barrier's mutex orders the two.
  std::vector<at::Tensor> tensors, outputs;
  std::vector<const void*> memory;
  // Of tensors on a GPU: when a rank's stream got to the collective, and when its share is done. An event is
  // recorded again only after a barrier that follows everybody's wait for it.
  std::vector<std::optional<c10::Event>> posted, shared;

  void Barrier(int rank) {
    std::unique_lock lock(mutex);
    Check();
    arrived[rank] = true;
    if (++num_arrived == size) {
      num_arrived = 0;
      arrived.assign(size, false);
      ++generation;
      all_arrived.notify_all();
      return;
    }
    const std::int64_t mine = generation;
    const double since = MonotonicSeconds();
    std::optional<LongWait> long_wait;
    const auto over = [&] { return generation != mine || !failure.empty(); };
    for (double left = timeout.count(); left > 0; left = since + timeout.count() - MonotonicSeconds()) {
      if (all_arrived.wait_for(lock, std::chrono::duration<double>(std::min(left, kLookAround)), over)) break;
      if (!long_wait) long_wait.emplace(Wait{rank, size, since, timeout.count(), {}});
      long_wait->Awaits(Missing());
    }
    if (generation != mine) return;
    if (failure.empty()) {
      failure =
          fmt::format("rank {} waited {:g} s for rank {}", rank, timeout.count(), fmt::join(Missing(), ", "));
      all_arrived.notify_all();
    }
    Check();
  }

  void Fail(const std::string& reason) {
    const std::lock_guard lock(mutex);
    if (failure.empty()) failure = reason;
    all_arrived.notify_all();
    for (const auto& [key, part] : parts) part->Fail(reason);
  }

  // The group that ranks of one color make in their split of that number. It fails when this one does.
  std::shared_ptr<State> Part(int split, int color, int part_size, double patience) {
    const std::lock_guard lock(mutex);
    std::shared_ptr<State>& part = parts[{split, color}];
    if (!part) part = std::make_shared<State>(part_size, patience * timeout);
    if (!failure.empty()) part->Fail(failure);
    return part;
  }

 private:
  void Check() const {
    if (!failure.empty()) throw CommError(failure);
  }

  std::vector<int> Missing() const {
    std::vector<int> missing;
    for (int other = 0; other < size; ++other) {
      if (!arrived[other]) missing.push_back(other);
    }
    return missing;
  }

  std::mutex mutex;
  std::condition_variable all_arrived;
  std::vector<char> arrived;
  int num_arrived = 0;
  std::int64_t generation = 0;
  std::string failure;
  std::map<std::pair<int, int>, std::shared_ptr<State>> parts;  // by number of the split and color
};

namespace {

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadWorld::State> state, int rank)
      : state_(std::move(state)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return state_->size; }

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    state_->outputs[rank_] = out;
    Begin(in);
    const auto share = [&](const at::Tensor& tensor) { return PartOf(tensor.view(-1), rank_, size()); };
    std::vector<at::Tensor> parts;
    for (const at::Tensor& tensor : state_->tensors) parts.push_back(share(tensor));
    const at::Tensor sum = share(out);
    AddUp(parts, factors, sum);
    for (int other = 0; other < size(); ++other) {
      if (other != rank_) share(state_->outputs[other]).copy_(sum);
    }
    End(in);
  }

  void Broadcast(const at::Tensor& inout, int root) override {
    Begin(inout);
    if (rank_ != root) inout.copy_(state_->tensors[root]);
    End(inout);
  }

  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    state_->memory[rank_] = mine;
    state_->Barrier(rank_);
    for (int other = 0; other < size() && bytes > 0; ++other) {
      std::memcpy(static_cast<char*>(all) + other * bytes, state_->memory[other], bytes);
    }
    state_->Barrier(rank_);
  }

  std::unique_ptr<Communicator> Split(int color, double patience) override {
    const std::vector<int> ranks = RanksOfColor(color);
    const int split = splits_++;
    if (color < 0) return nullptr;
    const auto here = std::find(ranks.begin(), ranks.end(), rank_) - ranks.begin();
    const auto size = static_cast<int>(ranks.size());
    return std::make_unique<ThreadCommunicator>(state_->Part(split, color, size, patience),
                                                static_cast<int>(here));
  }

  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    state_->memory[rank_] = mine;
    state_->Barrier(rank_);
    for (int other = 0; other < size() && bytes > 0; ++other) {
      const auto* const theirs = static_cast<const char*>(state_->memory[other]);
      std::memcpy(static_cast<char*>(all) + other * bytes, theirs + rank_ * bytes, bytes);
    }
    state_->Barrier(rank_);
  }

 private:
  // After it, this rank may read all tensors, and write its share.
  void Begin(const at::Tensor& tensor) {
    state_->tensors[rank_] = tensor;
    Meet(tensor.device(), state_->posted);
  }

  // After it, all shares are done.
  void End(const at::Tensor& tensor) { Meet(tensor.device(), state_->shared); }

  void Meet(const at::Device& device, std::vector<std::optional<c10::Event>>& events) {
    if (device.is_cpu() || size() == 1) return state_->Barrier(rank_);
    const c10::Stream stream = CurrentStream(device);
    std::optional<c10::Event>& mine = events[static_cast<std::size_t>(rank_)];
    if (!mine) mine.emplace(device.type());
    mine->record(stream);
    state_->Barrier(rank_);
    for (const auto& event : events) event->block(stream);
  }

  std::shared_ptr<ThreadWorld::State> state_;
  int rank_;
  int splits_ = 0;
};

}  // namespace

ThreadWorld::ThreadWorld(int size, std::chrono::duration<double> timeout) {
  if (size < 1) throw UsageError(fmt::format("a world of {} workers; it needs at least 1", size));
  if (!(timeout.count() > 0))
    throw UsageError(fmt::format("timeout {} s; it must be above 0", timeout.count()));
  state_ = std::make_shared<State>(size, timeout);
}

ThreadWorld::~ThreadWorld() = default;

std::unique_ptr<Communicator> ThreadWorld::Connect(int rank) {
  if (rank < 0 || rank >= state_->size) {
    throw UsageError(fmt::format("rank {} in a world of {}; it must be from 0 to {}", rank, state_->size,
                                 state_->size - 1));
  }
  return std::make_unique<ThreadCommunicator>(state_, rank);
}

void ThreadWorld::Run(const std::function<void(int rank)>& rank_main) {
  std::mutex mutex;
  std::exception_ptr first;  // the others follow from it
  const auto fail = [&](int rank, const char* reason) {
    {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
    Abort(fmt::format("worker {} failed: {}", rank, reason));
  };
  std::vector<std::thread> threads;
  const auto run = [&](int rank) {
    try {
      rank_main(rank);
    } catch (const std::exception& error) {
      fail(rank, error.what());
    } catch (...) {
      fail(rank, "it threw something unknown");
    }
  };
  try {
    for (int rank = 0; rank < state_->size; ++rank) threads.emplace_back(run, rank);
  } catch (const std::system_error& error) {  // no more threads to be had
    fail(static_cast<int>(threads.size()), error.what());
  }
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

void ThreadWorld::Abort(const std::string& reason) { state_->Fail(reason); }

}  // namespace swarmsync
