#pragma once

// Included in files that may include c10d, whose base classes differ between libtorch 1.13 and 2.x.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <string>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <utility>
#include <vector>

#include "base/first_line.h"
#include "comm/add_up.h"
#include "comm/long_waits.h"
#include "comm/plan_broadcast.h"
#include "swarmsync/base/clock.h"
#include "swarmsync/base/error.h"
#include "swarmsync/comm/communicator.h"

namespace swarmsync {

// The first line of an exception's text, without the C++ location that Gloo puts in front of it.
inline std::string Reason(const std::exception& error) {
  std::string text = FirstLine(error.what());
  if (!text.empty() && text[0] == '[') {
    const std::size_t end = text.find("] ");
    if (end != std::string::npos) text = text.substr(end + 2);
  }
  return text;
}

// Collectives made of messages between two ranks, which a group of c10d's sends: Group is
// c10d::ProcessGroupGloo or another that has send(), recv() and broadcast(). For tensors on the CPU.
template <class Group>
class C10dCommunicator : public Communicator {
 public:
  // timeout: the group's own, of every wait.
  C10dCommunicator(c10::intrusive_ptr<Group> group, std::chrono::milliseconds timeout)
      : group_(std::move(group)), timeout_(timeout) {}

  int rank() const override { return group_->getRank(); }
  int size() const override { return group_->getSize(); }

  // Every rank adds up a part of the tensor for all.
  void AllReduce(const at::Tensor& in, const std::vector<double>& factors, const at::Tensor& out) override {
    Guard("all-reduce", [&] { AddUpParts(in.view(-1), factors, out.view(-1)); });
  }

  void Broadcast(const at::Tensor& inout, int root) override {
    Guard("broadcast", [&] {
      switch (RouteOf(size(), inout.nbytes())) {
        case BroadcastRoute::kStar:
          return SendToAll(inout, root);
        case BroadcastRoute::kTree:
          return SendAlongTree(inout, root);
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

 protected:
  template <class Collective>
  void Guard(const char* what, Collective&& collective) {
    try {
      collective();
    } catch (const std::exception& error) {
      throw CommError(fmt::format("{} failed on rank {} of {}: {}", what, rank(), size(), Reason(error)));
    }
  }

  // For ranks that are not known yet.
  LongWait Waiting() const {
    return LongWait({rank(), size(), MonotonicSeconds(), 1e-3 * static_cast<double>(timeout_.count()), {}});
  }

 private:
  struct Pending {
    c10::intrusive_ptr<c10d::Work> work;
    int peer;
  };
  // Away from those that others, who may use the group too, are likely to choose.
  enum Tag { kEachToEach = 0x5301, kPart, kSum, kToAll, kAlong };

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

  void SendAlongTree(const at::Tensor& message, int root) {
    std::vector<at::Tensor> tensors{message};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    const auto work = group_->broadcast(tensors, options);
    const LongWait wait = Waiting();
    work->wait();
  }

  c10::intrusive_ptr<Group> group_;
  std::chrono::milliseconds timeout_;
  at::Tensor arriving_ =
      at::empty({0}, at::kByte);  // others' parts of an all-reduce; as large as the largest
};

}  // namespace swarmsync
