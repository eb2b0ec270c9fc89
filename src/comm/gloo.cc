// The only file that includes c10d: its base classes differ between libtorch 1.13 and 2.x.

#include "swarmsync/comm/gloo.h"

#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#ifdef SWARMSYNC_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/first_line.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

// The first line of an exception's text, without the C++ location that Gloo puts in front of it.
std::string Reason(const std::exception& error) {
  std::string text = FirstLine(error.what());
  if (!text.empty() && text[0] == '[') {
    const std::size_t end = text.find("] ");
    if (end != std::string::npos) text = text.substr(end + 2);
  }
  return text;
}

// The group of the GPUs, one for each rank, over the same store.
class NcclGroup {
 public:
  NcclGroup(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
            std::chrono::milliseconds timeout);

  void AllReduce(std::vector<at::Tensor>& tensors);
  void Broadcast(std::vector<at::Tensor>& tensors, const c10d::BroadcastOptions& options);

 private:
#ifdef SWARMSYNC_NCCL
  // Throws when it is not done in time. Waiting itself would only make the stream wait.
  void Finish(const c10::intrusive_ptr<c10d::Work>& work);

  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group_;
  std::chrono::milliseconds timeout_;
#endif
};

#ifdef SWARMSYNC_NCCL

NcclGroup::NcclGroup(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                     std::chrono::milliseconds timeout)
    : timeout_(timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  // Ours comes first; when this one is over, libtorch ends the process.
  options->timeout = std::max<std::chrono::milliseconds>(10 * timeout, std::chrono::hours(1));
  group_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", store),
                                                       rank, size, options);
}

void NcclGroup::AllReduce(std::vector<at::Tensor>& tensors) { Finish(group_->allreduce(tensors)); }

void NcclGroup::Broadcast(std::vector<at::Tensor>& tensors, const c10d::BroadcastOptions& options) {
  Finish(group_->broadcast(tensors, options));
}

void NcclGroup::Finish(const c10::intrusive_ptr<c10d::Work>& work) {
  const auto deadline = std::chrono::steady_clock::now() + timeout_;
  while (!work->isCompleted()) {
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error(fmt::format("it was not done within {} ms", timeout_.count()));
    std::this_thread::sleep_for(std::chrono::microseconds(10));
  }
  if (const std::exception_ptr failure = work->exception()) std::rethrow_exception(failure);
  work->wait();
}

#else

NcclGroup::NcclGroup(const c10::intrusive_ptr<c10d::Store>&, int, int, std::chrono::milliseconds) {
  throw std::runtime_error("this libtorch has no NCCL, which tensors on a GPU travel by");
}

void NcclGroup::AllReduce(std::vector<at::Tensor>&) {}
void NcclGroup::Broadcast(std::vector<at::Tensor>&, const c10d::BroadcastOptions&) {}

#endif

class GlooCommunicator : public Communicator {
 public:
  GlooCommunicator(c10::intrusive_ptr<c10d::Store> store, c10::intrusive_ptr<c10d::ProcessGroupGloo> group,
                   std::chrono::milliseconds timeout)
      : store_(std::move(store)), group_(std::move(group)), timeout_(timeout) {}

  int rank() const override { return group_->getRank(); }
  int size() const override { return group_->getSize(); }

  void AllReduceSum(const at::Tensor& inout) override {
    Guard("all-reduce", [&] {
      std::vector<at::Tensor> tensors{inout};
      if (!inout.is_cpu()) return OfGpus().AllReduce(tensors);
      group_->allreduce(tensors)->wait();
    });
  }

  void Broadcast(const at::Tensor& inout, int root) override {
    Guard("broadcast", [&] {
      std::vector<at::Tensor> tensors{inout};
      c10d::BroadcastOptions options;
      options.rootRank = root;
      if (!inout.is_cpu()) return OfGpus().Broadcast(tensors, options);
      group_->broadcast(tensors, options)->wait();
    });
  }

  // Everybody sends to everybody at once. Gloo's ring would take size - 1 steps, each with a change of
  // threads more than a plain message needs; the messages here are small, and the time is all latency.
  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    if (bytes == 0) return;
    const auto wrap = [bytes](void* memory) {
      return std::vector<at::Tensor>{at::from_blob(memory, {static_cast<std::int64_t>(bytes)}, at::kByte)};
    };
    auto* const out = static_cast<std::uint8_t*>(all);
    std::memcpy(out + rank() * bytes, mine, bytes);
    Guard("all-gather", [&] {
      std::vector<c10::intrusive_ptr<c10d::Work>> pending;
      for (int step = 1; step < size(); ++step) {
        const int source = (rank() + size() - step) % size();
        auto tensors = wrap(out + source * bytes);
        pending.push_back(group_->recv(tensors, source, kGatherTag));
      }
      for (int step = 1; step < size(); ++step) {
        auto tensors = wrap(out + rank() * bytes);
        pending.push_back(group_->send(tensors, (rank() + step) % size(), kGatherTag));
      }
      for (const auto& work : pending) work->wait();
    });
  }

 private:
  static constexpr int kGatherTag = 1;

  template <class Collective>
  void Guard(const char* what, Collective&& collective) {
    try {
      collective();
    } catch (const std::exception& error) {
      throw CommError(fmt::format("{} failed on rank {} of {}: {}", what, rank(), size(), Reason(error)));
    }
  }

  NcclGroup& OfGpus() {
    if (!gpus_) gpus_.emplace(store_, rank(), size(), timeout_);
    return *gpus_;
  }

  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  std::chrono::milliseconds timeout_;
  std::optional<NcclGroup> gpus_;  // made when the first tensor comes that is on a GPU
};

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

std::chrono::milliseconds Milliseconds(std::chrono::duration<double> seconds) {
  return std::max(std::chrono::milliseconds(1),
                  std::chrono::duration_cast<std::chrono::milliseconds>(seconds));
}

c10::intrusive_ptr<c10d::Store> OpenStore(const GlooOptions& options) {
  c10::intrusive_ptr<c10d::Store> store;
  if (const auto* file = std::get_if<FileRendezvous>(&options.rendezvous)) {
    store = c10::make_intrusive<c10d::FileStore>(file->file.string(), options.size);
  } else {
    const auto& tcp = std::get<TcpRendezvous>(options.rendezvous);
    c10d::TCPStoreOptions tcp_options;
    tcp_options.port = static_cast<std::uint16_t>(tcp.port);
    tcp_options.isServer = tcp.host_here;
    tcp_options.numWorkers = options.size;
    tcp_options.waitWorkers = false;
    tcp_options.timeout = Milliseconds(options.timeout);
    auto tcp_store = c10::make_intrusive<c10d::TCPStore>(tcp.host, tcp_options);
    store = c10::make_intrusive<c10d::PrefixStore>(tcp.prefix, tcp_store);
    // The destructor of a store that is served here joins its thread, which waits for ever for a stranger who
    // has connected and sent the beginning of a request. So such a store is never destroyed.
    if (tcp.host_here) tcp_store.release();
  }
  store->setTimeout(Milliseconds(options.timeout));
  return store;
}

std::shared_ptr<::gloo::transport::Device> OpenDevice(const GlooOptions& options) {
  if (!options.interface.empty()) return c10d::ProcessGroupGloo::createDeviceForInterface(options.interface);
  const auto* tcp = std::get_if<TcpRendezvous>(&options.rendezvous);
  if (tcp == nullptr || IsLoopback(tcp->host))
    return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

std::string Describe(const GlooOptions& options) {
  if (const auto* file = std::get_if<FileRendezvous>(&options.rendezvous)) return file->file.string();
  const auto& tcp = std::get<TcpRendezvous>(options.rendezvous);
  return fmt::format("{}:{}", tcp.host, tcp.port);
}

}  // namespace

std::unique_ptr<Communicator> ConnectGloo(const GlooOptions& options) {
  if (options.size < 1 || options.rank < 0 || options.rank >= options.size) {
    throw UsageError(fmt::format("rank {} in a world of {}", options.rank, options.size));
  }
  try {
    auto gloo_options = c10d::ProcessGroupGloo::Options::create(Milliseconds(options.timeout));
    gloo_options->devices.push_back(OpenDevice(options));
    gloo_options->threads = 1;  // calls come one at a time
    const auto store = OpenStore(options);
    auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, options.rank, options.size, gloo_options);
    return std::make_unique<GlooCommunicator>(store, std::move(group), Milliseconds(options.timeout));
  } catch (const std::exception& error) {
    std::string reason = Reason(error);
    if (std::string(error.what()).find("in use") != std::string::npos) {
      reason = "the port is taken; choose another MASTER_PORT";
    }
    throw CommError(fmt::format("rank {} of {} could not meet the others at {} within {:g} s: {}",
                                options.rank, options.size, Describe(options), options.timeout.count(),
                                reason));
  }
}

bool NcclIsBuiltIn() {
#ifdef SWARMSYNC_NCCL
  return true;
#else
  return false;
#endif
}

}  // namespace swarmsync
