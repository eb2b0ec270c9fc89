// The only file of the library that includes c10d: its base classes differ between libtorch 1.13 and 2.x.

#include "swarmsync/comm/gloo.h"

#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
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

#include "base/print.h"
#include "comm/c10d_communicator.h"
#include "comm/interface.h"
#include "comm/long_waits.h"
#include "comm/store_client.h"
#include "comm/store_server.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"

namespace swarmsync {
namespace {

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

class GlooCommunicator : public C10dCommunicator<c10d::ProcessGroupGloo> {
 public:
  using Base = C10dCommunicator<c10d::ProcessGroupGloo>;
  using Options = c10::intrusive_ptr<c10d::ProcessGroupGloo::Options>;

  // Meets the others in the store.
  GlooCommunicator(c10::intrusive_ptr<c10d::Store> store, int rank, int size, Options options)
      : Base(c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options), options->timeout),
        store_(std::move(store)),
        options_(std::move(options)) {}

  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    if (in.is_cpu()) return Base::AllReduce(in, factors, out);
    Guard("all-reduce", [&] { AllReduceOnGpus(in, factors, out); });
  }

  void Broadcast(const at::Tensor& inout, int root) override {
    if (inout.is_cpu()) return Base::Broadcast(inout, root);
    Guard("broadcast", [&] {
      std::vector<at::Tensor> tensors{inout};
      c10d::BroadcastOptions options;
      options.rootRank = root;
      const LongWait wait = Waiting();
      OfGpus().Broadcast(tensors, options);
    });
  }

  std::unique_ptr<Communicator> Split(int color, double patience) override {
    const std::vector<int> ranks = RanksOfColor(color);
    const std::string name = fmt::format("split {} color {}", splits_++, color);
    if (color < 0) return nullptr;
    Options options = c10d::ProcessGroupGloo::Options::create(
        std::chrono::duration_cast<std::chrono::milliseconds>(patience * options_->timeout));
    options->devices = options_->devices;
    options->threads = options_->threads;
    const auto here = std::find(ranks.begin(), ranks.end(), rank()) - ranks.begin();
    std::unique_ptr<Communicator> group;
    Guard("split", [&] {
      const LongWait wait = Waiting();
      group =
          std::make_unique<GlooCommunicator>(c10::make_intrusive<c10d::PrefixStore>(name, store_),
                                             static_cast<int>(here), static_cast<int>(ranks.size()), options);
    });
    return group;
  }

 private:
  void AllReduceOnGpus(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) {
    const double factor = factors.empty() ? 1 : factors[static_cast<std::size_t>(rank())];
    if (factor == 0) {
      out.zero_();
    } else {
      if (!out.is_same(in)) out.copy_(in);
      if (factor != 1) out.mul_(factor);
    }
    std::vector<at::Tensor> tensors{out};
    const LongWait wait = Waiting();
    OfGpus().AllReduce(tensors);
  }

  NcclGroup& OfGpus() {
    if (!gpus_) gpus_.emplace(store_, rank(), size(), options_->timeout);
    return *gpus_;
  }

  c10::intrusive_ptr<c10d::Store> store_;
  Options options_;
  int splits_ = 0;
  std::optional<NcclGroup> gpus_;  // made when the first tensor comes that is on a GPU
};

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

std::chrono::milliseconds Milliseconds(std::chrono::duration<double> seconds) {
  return std::max(std::chrono::milliseconds(1),
                  std::chrono::duration_cast<std::chrono::milliseconds>(seconds));
}

bool OnOneHost(const GlooOptions& options) {
  if (options.one_host || std::holds_alternative<FileRendezvous>(options.rendezvous)) return true;
  const auto* token = std::get_if<TokenRendezvous>(&options.rendezvous);
  return IsLoopback(token ? token->host : std::get<TcpRendezvous>(options.rendezvous).host);
}

// Several hosts need what one does not.
void CheckHosts(const GlooOptions& options) {
  if (OnOneHost(options)) return;
  if (options.interface.empty()) {
    throw UsageError(fmt::format(
        "GLOO_SOCKET_IFNAME is not set, and the ranks are on several hosts; name the network interface "
        "that they are to talk through (here are {})",
        fmt::join(InterfaceNames(), ", ")));
  }
  const auto* token = std::get_if<TokenRendezvous>(&options.rendezvous);
  if (token == nullptr || token->token.size() >= kLeastTokenSize) return;
  throw UsageError(fmt::format(
      "SWARMSYNC_TOKEN has {} characters, and the ranks are on several hosts; give all of them the same "
      "secret of at least {} (openssl rand -hex 16 makes one)",
      token->token.size(), kLeastTokenSize));
}

// c10d's view of a StoreClient, and rank 0's server.
class TokenStore : public c10d::Store {
 public:
  TokenStore(const TokenRendezvous& rendezvous, const GlooOptions& options)
      : server_(options.rank == 0 ? Serve(rendezvous, options) : nullptr),
        client_(ClientOptions(rendezvous, options)) {}

  void set(const std::string& key, const std::vector<std::uint8_t>& value) override {
    client_.Set(key, {value.begin(), value.end()});
  }
  std::vector<std::uint8_t> get(const std::string& key) override {
    const std::string value = Expect(key, timeout_);
    return {value.begin(), value.end()};
  }
  std::int64_t add(const std::string& key, std::int64_t value) override { return client_.Add(key, value); }
  bool deleteKey(const std::string& key) override { return client_.Delete(key); }
  bool check(const std::vector<std::string>& keys) override {
    return std::all_of(keys.begin(), keys.end(), [this](const std::string& key) { return client_.Has(key); });
  }
  std::int64_t getNumKeys() override { return client_.Count(); }
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) override {
    for (const std::string& key : keys) Expect(key, timeout);
  }
  // libtorch 2.x asks for a copy that is safe to use from another thread. This one is.
  c10::intrusive_ptr<c10d::Store> clone() {
    return c10::intrusive_ptr<c10d::Store>::unsafe_reclaim_from_nonowning(this);
  }

 private:
  static std::unique_ptr<StoreServer> Serve(const TokenRendezvous& rendezvous, const GlooOptions& options) {
    StoreServerOptions server;
    server.address = AddressHere(options);
    server.port = rendezvous.port;
    server.token = rendezvous.token;
    server.size = options.size;
    server.patience = std::min(server.patience, options.timeout);
    server.on_refused = Say;
    return std::make_unique<StoreServer>(std::move(server));
  }

  // Where rank 0 listens.
  static std::string AddressHere(const GlooOptions& options) {
    return OnOneHost(options) ? "127.0.0.1" : AddressOfInterface(options.interface);
  }

  static StoreClientOptions ClientOptions(const TokenRendezvous& rendezvous, const GlooOptions& options) {
    StoreClientOptions client;
    const bool is_here = options.rank == 0 || OnOneHost(options);
    client.host = is_here ? AddressHere(options) : rendezvous.host;
    client.port = rendezvous.port;
    client.token = rendezvous.token;
    client.rank = options.rank;
    client.size = options.size;
    client.timeout = options.timeout;
    return client;
  }

  std::string Expect(const std::string& key, std::chrono::milliseconds timeout) {
    // In slices, between which other threads may ask.
    const double deadline = MonotonicSeconds() + 1e-3 * static_cast<double>(timeout.count());
    do {
      if (std::optional<std::string> value = client_.Get(key, std::chrono::milliseconds(100)))
        return *std::move(value);
    } while (MonotonicSeconds() < deadline);
    throw CommError("not all ranks have come");
  }

  std::unique_ptr<StoreServer> server_;
  StoreClient client_;
};

c10::intrusive_ptr<c10d::Store> OpenStore(const GlooOptions& options) {
  c10::intrusive_ptr<c10d::Store> store;
  if (const auto* file = std::get_if<FileRendezvous>(&options.rendezvous)) {
    store = c10::make_intrusive<c10d::FileStore>(file->file.string(), options.size);
  } else if (const auto* token = std::get_if<TokenRendezvous>(&options.rendezvous)) {
    store = c10::make_intrusive<TokenStore>(*token, options);
  } else {
    const auto& tcp = std::get<TcpRendezvous>(options.rendezvous);
    c10d::TCPStoreOptions tcp_options;
    tcp_options.port = static_cast<std::uint16_t>(tcp.port);
    tcp_options.numWorkers = options.size;
    tcp_options.waitWorkers = false;
    tcp_options.timeout = Milliseconds(options.timeout);
    store = c10::make_intrusive<c10d::PrefixStore>(
        tcp.prefix, c10::make_intrusive<c10d::TCPStore>(tcp.host, tcp_options));
  }
  store->setTimeout(Milliseconds(options.timeout));
  return store;
}

// A rank's entry in the store, which it makes when it has come.
std::string EntryOf(int rank) { return fmt::format("here/{}", rank); }

// "; ranks 2, 3 are missing". Empty where all have come, or where the store cannot tell.
std::string WhoIsAbsent(c10d::Store& store, int size) {
  constexpr std::size_t kMostNamed = 16;
  std::vector<int> absent;
  try {
    for (int rank = 0; rank < size; ++rank) {
      if (!store.check({EntryOf(rank)})) absent.push_back(rank);
    }
  } catch (const std::exception&) {  // such as rank 0's, which has given up before
    return "";
  }
  if (absent.empty()) return "";
  if (absent.size() == 1) return fmt::format("; rank {} is missing", absent[0]);
  const std::size_t named = std::min(absent.size(), kMostNamed);
  return fmt::format("; ranks {}{} are missing", fmt::join(absent.begin(), absent.begin() + named, ", "),
                     named < absent.size() ? fmt::format(" and {} more", absent.size() - named) : "");
}

// Threads that are made while one lives do not take the processor away from others when they wake up
// (SCHED_BATCH); they wait until one is free, or for the others' time to be over. Gloo's own thread, which
// moves the bytes, would else often interrupt the thread that is just sending, and then ask again and again
// for a lock that this one holds, for some milliseconds, where there are fewer cores than such threads.
class PatientThreads {
 public:
  PatientThreads() : policy_(sched_getscheduler(0)) {
    sched_getparam(0, &parameters_);
    const sched_param none{};
    if (policy_ == SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, &none);
  }
  ~PatientThreads() {
    if (policy_ == SCHED_OTHER) sched_setscheduler(0, policy_, &parameters_);
  }
  PatientThreads(const PatientThreads&) = delete;
  PatientThreads& operator=(const PatientThreads&) = delete;

 private:
  int policy_;
  sched_param parameters_{};
};

std::shared_ptr<::gloo::transport::Device> OpenDevice(const GlooOptions& options) {
  if (options.interface.empty()) return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  AddressOfInterface(options.interface);  // says in words what is wrong with it
  return c10d::ProcessGroupGloo::createDeviceForInterface(options.interface);
}

std::string Describe(const GlooOptions& options) {
  if (const auto* file = std::get_if<FileRendezvous>(&options.rendezvous)) return file->file.string();
  if (const auto* token = std::get_if<TokenRendezvous>(&options.rendezvous))
    return fmt::format("{}:{}", token->host, token->port);
  const auto& tcp = std::get<TcpRendezvous>(options.rendezvous);
  return fmt::format("{}:{}", tcp.host, tcp.port);
}

}  // namespace

std::unique_ptr<Communicator> ConnectGloo(const GlooOptions& options) {
  if (options.size < 1 || options.rank < 0 || options.rank >= options.size) {
    throw UsageError(fmt::format("rank {} in a world of {}; it must be from 0 to {}", options.rank,
                                 options.size, options.size - 1));
  }
  CheckHosts(options);
  c10::intrusive_ptr<c10d::Store> store;
  try {
    auto gloo_options = c10d::ProcessGroupGloo::Options::create(Milliseconds(options.timeout));
    {
      const PatientThreads patient;
      gloo_options->devices.push_back(OpenDevice(options));
    }
    gloo_options->threads = 1;  // calls come one at a time
    store = OpenStore(options);
    store->set(EntryOf(options.rank), std::vector<std::uint8_t>{1});
    return std::make_unique<GlooCommunicator>(store, options.rank, options.size, gloo_options);
  } catch (const UsageError&) {
    throw;
  } catch (const std::exception& error) {
    throw CommError(fmt::format("rank {} of {} could not meet the others at {} within {:g} s: {}",
                                options.rank, options.size, Describe(options), options.timeout.count(),
                                Reason(error) + (store ? WhoIsAbsent(*store, options.size) : "")));
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
