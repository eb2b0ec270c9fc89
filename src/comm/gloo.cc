// The only file that includes c10d: its base classes differ between libtorch 1.13 and 2.x.

#include "swarmsync/comm/gloo.h"

#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

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
#include "base/print.h"
#include "comm/add_up.h"
#include "comm/interface.h"
#include "comm/long_waits.h"
#include "comm/plan_broadcast.h"
#include "comm/store_client.h"
#include "comm/store_server.h"
#include "swarmsync/base/clock.h"
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
  using Options = c10::intrusive_ptr<c10d::ProcessGroupGloo::Options>;

  // Meets the others in the store.
  GlooCommunicator(c10::intrusive_ptr<c10d::Store> store, int rank, int size, Options options)
      : store_(std::move(store)),
        options_(std::move(options)),
        group_(c10::make_intrusive<c10d::ProcessGroupGloo>(store_, rank, size, options_)) {}

  int rank() const override { return group_->getRank(); }
  int size() const override { return group_->getSize(); }

  // Every rank adds up a part of the tensor for all.
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    Guard("all-reduce", [&] {
      if (!in.is_cpu()) return AllReduceOnGpus(in, factors, out);
      AddUpParts(in.view(-1), factors, out.view(-1));
    });
  }

  void Broadcast(const at::Tensor& inout, int root) override {
    Guard("broadcast", [&] {
      std::vector<at::Tensor> tensors{inout};
      c10d::BroadcastOptions options;
      options.rootRank = root;
      if (!inout.is_cpu()) {
        const LongWait wait = Waiting();
        return OfGpus().Broadcast(tensors, options);
      }
      switch (RouteOf(size(), inout.nbytes())) {
        case BroadcastRoute::kStar:
          return SendToAll(inout, root);
        case BroadcastRoute::kTree:
          return WaitForGroup(group_->broadcast(tensors, options));
        case BroadcastRoute::kChain:
          return PassAlong(inout.view(-1), root);
      }
    });
  }

  void AllGatherBytes(const void* mine, std::size_t bytes, void* all) override {
    if (bytes > 0) FromEachToEach("all-gather", mine, 0, bytes, all);
  }

  void AllToAllBytes(const void* mine, std::size_t bytes, void* all) override {
    if (bytes > 0) FromEachToEach("all-to-all", mine, bytes, bytes, all);
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
  struct Pending {
    c10::intrusive_ptr<c10d::Work> work;
    int peer;
  };
  enum Tag { kEachToEach = 1, kPart, kSum, kToAll, kAlong };

  Pending Send(const at::Tensor& tensor, int to, Tag tag) {
    std::vector<at::Tensor> tensors{tensor};
    return {group_->send(tensors, to, tag), to};
  }
  Pending Receive(const at::Tensor& tensor, int from, Tag tag) {
    std::vector<at::Tensor> tensors{tensor};
    return {group_->recv(tensors, from, tag), from};
  }
  void WaitFor(const std::vector<Pending>& pending) const {
    LongWait wait = Waiting();
    for (const Pending& message : pending) {
      wait.Awaits({message.peer});
      message.work->wait();
    }
  }
  void WaitForGroup(const c10::intrusive_ptr<c10d::Work>& work) const {
    const LongWait wait = Waiting();
    work->wait();
  }
  // For ranks that are not known yet.
  LongWait Waiting() const {
    return LongWait(
        {rank(), size(), MonotonicSeconds(), 1e-3 * static_cast<double>(options_->timeout.count()), {}});
  }

  // The rank that is `step` behind this one in the ring of ranks. All ranks go round in the same way, so that
  // none gets everybody's messages at once.
  int After(int step) const { return (rank() + step) % size(); }

  // What rank r owns of a tensor of one dimension, in pieces.
  std::vector<at::Tensor> PiecesOwned(const at::Tensor& flat, int r) const {
    const at::Tensor owned = PartOf(flat, r, size());
    const auto elements = static_cast<std::int64_t>(kPieceBytes / flat.element_size());
    std::vector<at::Tensor> pieces;
    for (std::int64_t at = 0; at < owned.numel(); at += elements)
      pieces.push_back(owned.narrow(0, at, std::min(elements, owned.numel() - at)));
    return pieces;
  }

  // Everybody sends the parts that others own, adds up its own as they come, piece by piece, and sends each
  // sum to all. The sums are taken in the order of the ranks, which Gloo's ring does not, and a message is
  // sent at once, where Gloo's collectives change threads. What a rank sends of a piece has arrived before
  // that piece's sum comes back, so `in` and `out` may be the same.
  void AddUpParts(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) {
    const std::vector<at::Tensor> mine = PiecesOwned(in, rank()), sums = PiecesOwned(out, rank());
    const std::int64_t part = in.numel() / size() + 1;
    if (arriving_.nbytes() < static_cast<std::size_t>(part) * in.element_size() * (size() - 1))
      arriving_ = at::empty({part * (size() - 1) * static_cast<std::int64_t>(in.element_size())}, at::kByte);

    std::vector<std::vector<at::Tensor>> arriving(static_cast<std::size_t>(size()));  // by rank, by piece
    std::vector<std::vector<Pending>> arrivals(mine.size());                          // by piece
    for (int step = 1; step < size(); ++step) {
      const int source = After(size() - step);
      auto* memory = arriving_.data_ptr<std::uint8_t>() +
                     (step - 1) * part * static_cast<std::int64_t>(in.element_size());
      for (std::size_t k = 0; k < mine.size(); ++k) {
        const at::Tensor piece = at::from_blob(memory, mine[k].sizes(), in.options());
        memory += piece.nbytes();
        arriving[static_cast<std::size_t>(source)].push_back(piece);
        arrivals[k].push_back(Receive(piece, source, kPart));
      }
    }
    std::vector<Pending> others;
    for (int step = 1; step < size(); ++step) {
      for (const at::Tensor& piece : PiecesOwned(in, After(step)))
        others.push_back(Send(piece, After(step), kPart));
    }
    for (int step = 1; step < size(); ++step) {
      const int owner = After(size() - step);
      for (const at::Tensor& piece : PiecesOwned(out, owner)) others.push_back(Receive(piece, owner, kSum));
    }
    arriving[static_cast<std::size_t>(rank())] = mine;
    for (std::size_t k = 0; k < mine.size(); ++k) {
      WaitFor(arrivals[k]);
      std::vector<at::Tensor> parts;
      for (const auto& pieces : arriving) parts.push_back(pieces[k]);
      AddUp(parts, factors, sums[k]);
      for (int step = 1; step < size(); ++step) others.push_back(Send(sums[k], After(step), kSum));
    }
    WaitFor(others);
  }

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

  void SendToAll(const at::Tensor& message, int root) {
    if (message.numel() == 0) return;
    std::vector<Pending> pending;
    if (rank() != root) pending.push_back(Receive(message, root, kToAll));
    for (int step = 1; rank() == root && step < size(); ++step)
      pending.push_back(Send(message, After(step), kToAll));
    WaitFor(pending);
  }

  // The ranks pass the message on, each to the next, a piece while the next one comes.
  void PassAlong(const at::Tensor& flat, int root) {
    const std::int64_t pieces = PiecesOf(size(), flat.nbytes());
    const bool receives = rank() != root, sends = After(1) != root;
    const auto piece = [&](std::int64_t k) { return PartOf(flat, k, pieces); };
    std::vector<Pending> arrivals, departures;
    for (std::int64_t k = 0; receives && k < pieces; ++k)
      arrivals.push_back(Receive(piece(k), After(size() - 1), kAlong));
    for (std::int64_t k = 0; k < pieces; ++k) {
      if (receives) WaitFor({arrivals[static_cast<std::size_t>(k)]});
      if (sends) departures.push_back(Send(piece(k), After(1), kAlong));
    }
    WaitFor(departures);
  }

  // Everybody sends to everybody at once. Gloo's ring would take size - 1 steps, each with a change of
  // threads more than a plain message needs. stride: from what goes to one rank to what goes to the next.
  void FromEachToEach(const char* what, const void* mine, std::size_t stride, std::size_t bytes, void* all) {
    const auto wrap = [bytes](const void* memory) {
      return at::from_blob(const_cast<void*>(memory), {static_cast<std::int64_t>(bytes)}, at::kByte);
    };
    const auto for_rank = [&](int r) { return static_cast<const std::uint8_t*>(mine) + r * stride; };
    auto* const out = static_cast<std::uint8_t*>(all);
    std::memcpy(out + rank() * bytes, for_rank(rank()), bytes);
    Guard(what, [&] {
      std::vector<Pending> pending;
      for (int step = 1; step < size(); ++step) {
        const int source = After(size() - step);
        pending.push_back(Receive(wrap(out + source * bytes), source, kEachToEach));
      }
      for (int step = 1; step < size(); ++step)
        pending.push_back(Send(wrap(for_rank(After(step))), After(step), kEachToEach));
      WaitFor(pending);
    });
  }

  template <class Collective>
  void Guard(const char* what, Collective&& collective) {
    try {
      collective();
    } catch (const std::exception& error) {
      throw CommError(fmt::format("{} failed on rank {} of {}: {}", what, rank(), size(), Reason(error)));
    }
  }

  NcclGroup& OfGpus() {
    if (!gpus_) gpus_.emplace(store_, rank(), size(), options_->timeout);
    return *gpus_;
  }

  c10::intrusive_ptr<c10d::Store> store_;
  Options options_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  int splits_ = 0;
  at::Tensor arriving_ =
      at::empty({0}, at::kByte);   // others' parts of an all-reduce; as large as the largest
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
    throw UsageError(fmt::format("rank {} in a world of {}", options.rank, options.size));
  }
  CheckHosts(options);
  try {
    auto gloo_options = c10d::ProcessGroupGloo::Options::create(Milliseconds(options.timeout));
    {
      const PatientThreads patient;
      gloo_options->devices.push_back(OpenDevice(options));
    }
    gloo_options->threads = 1;  // calls come one at a time
    return std::make_unique<GlooCommunicator>(OpenStore(options), options.rank, options.size, gloo_options);
  } catch (const UsageError&) {
    throw;
  } catch (const std::exception& error) {
    throw CommError(fmt::format("rank {} of {} could not meet the others at {} within {:g} s: {}",
                                options.rank, options.size, Describe(options), options.timeout.count(),
                                Reason(error)));
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
