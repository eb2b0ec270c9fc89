#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "swarmsync/comm/communicator.h"

// What every communicator must do, checked from inside a rank: all ranks of a group call the same functions.
// They throw std::runtime_error that says what was wrong, so that a program without a test framework can use
// them too.
namespace swarmsync::testing {

inline const std::vector<std::int64_t> kTensorSizes = {0, 1, 2, 7, 1009};

inline void Require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("wrong result: " + what);
}

// Whole numbers that differ by rank and element and whose sums are exact.
inline at::Tensor Numbers(int rank, std::int64_t size, at::ScalarType type) {
  return (at::arange(size, at::kLong).remainder(97) * (rank + 2) + rank * rank + 1).to(type);
}

inline void CheckAllReduceSum(Communicator& comm) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kLong}) {
    for (const std::int64_t size : kTensorSizes) {
      at::Tensor expected = at::zeros({size}, type);
      for (int rank = 0; rank < comm.size(); ++rank) expected += Numbers(rank, size, type);
      const at::Tensor tensor = Numbers(comm.rank(), size, type);
      comm.AllReduceSum(tensor);
      Require(at::equal(tensor, expected), "all-reduce of " + std::to_string(size));
    }
  }
  const at::Tensor matrix = Numbers(comm.rank(), 21, at::kFloat).view({3, 7});
  comm.AllReduceSum(matrix);
  at::Tensor expected = at::zeros({21}, at::kFloat);
  for (int rank = 0; rank < comm.size(); ++rank) expected += Numbers(rank, 21, at::kFloat);
  Require(at::equal(matrix, expected.view({3, 7})), "all-reduce of a matrix");
}

inline void CheckBroadcast(Communicator& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    for (const std::int64_t size : kTensorSizes) {
      const at::Tensor tensor = Numbers(comm.rank(), size, at::kFloat);
      comm.Broadcast(tensor, root);
      Require(at::equal(tensor, Numbers(root, size, at::kFloat)),
              "broadcast of " + std::to_string(size) + " from " + std::to_string(root));
    }
  }
}

inline void CheckAllGatherOfNumbers(Communicator& comm) {
  for (const std::size_t count : {0, 1, 3, 101}) {
    std::vector<double> mine, expected;
    for (std::size_t i = 0; i < count; ++i) mine.push_back(comm.rank() + i * 0.25);
    for (int rank = 0; rank < comm.size(); ++rank) {
      for (std::size_t i = 0; i < count; ++i) expected.push_back(rank + i * 0.25);
    }
    Require(comm.AllGather(mine) == expected, "all-gather of " + std::to_string(count) + " numbers");
  }
  const std::vector<double> ranks = comm.AllGather(comm.rank() + 0.5);
  Require(ranks.size() == static_cast<std::size_t>(comm.size()), "all-gather's length");
  for (int rank = 0; rank < comm.size(); ++rank) Require(ranks[rank] == rank + 0.5, "all-gather of a number");
}

// Every rank's text has another length; rank 0's is empty.
inline void CheckAllGatherOfTexts(Communicator& comm) {
  const auto text = [](int rank) { return std::string(rank * rank * 3, static_cast<char>('a' + rank)); };
  const std::vector<std::string> texts = comm.AllGather(text(comm.rank()));
  Require(texts.size() == static_cast<std::size_t>(comm.size()), "number of texts");
  for (int rank = 0; rank < comm.size(); ++rank) Require(texts[rank] == text(rank), "text of another length");

  const std::vector<std::string> empty(comm.size());
  Require(comm.AllGather(std::string()) == empty, "empty texts");
  const std::string zeros("\0x\0", 3);
  Require(comm.AllGather(zeros) == std::vector<std::string>(comm.size(), zeros), "texts with zero bytes");
}

inline void CheckAllToAll(Communicator& comm) {
  for (const std::size_t bytes : {0, 1, 7, 1009}) {
    const auto part = [&](int from, int to) { return std::string(bytes, static_cast<char>(16 * from + to)); };
    std::string mine, expected, all(bytes * static_cast<std::size_t>(comm.size()), '?');
    for (int rank = 0; rank < comm.size(); ++rank) {
      mine += part(comm.rank(), rank);
      expected += part(rank, comm.rank());
    }
    comm.AllToAllBytes(mine.data(), bytes, all.data());
    Require(all == expected, "all-to-all of " + std::to_string(bytes));
  }
}

// Factors that leave somebody out, whose numbers would spoil the sum; into another tensor.
inline void CheckAllReduceWithFactors(Communicator& comm) {
  for (const std::int64_t size : kTensorSizes) {
    std::vector<double> factors(static_cast<std::size_t>(comm.size()));
    at::Tensor expected = at::zeros({size}, at::kFloat);
    for (int rank = 0; rank < comm.size(); ++rank) {
      factors[static_cast<std::size_t>(rank)] = rank % 2 == 0 ? 0.5 * (rank + 1) : 0;
      expected += Numbers(rank, size, at::kFloat) * factors[static_cast<std::size_t>(rank)];
    }
    const at::Tensor in = Numbers(comm.rank(), size, at::kFloat), out = at::full({size}, 7, at::kFloat);
    if (factors[static_cast<std::size_t>(comm.rank())] == 0) in.fill_(std::nan(""));
    const at::Tensor before = in.clone();
    comm.AllReduce(in, factors, out);
    Require(at::equal(out, expected), "all-reduce with factors of " + std::to_string(size));
    Require(at::allclose(in, before, 0, 0, /*equal_nan=*/true), "all-reduce's input");
  }
}

// Tensors that travel in several pieces, and down a tree.
inline void CheckLargeTensors(Communicator& comm) {
  for (const std::int64_t size : {300'001, 2'500'003}) {
    at::Tensor expected = at::zeros({size}, at::kFloat);
    for (int rank = 0; rank < comm.size(); ++rank) expected += Numbers(rank, size, at::kFloat);
    const at::Tensor tensor = Numbers(comm.rank(), size, at::kFloat);
    comm.AllReduceSum(tensor);
    Require(at::equal(tensor, expected), "all-reduce of " + std::to_string(size));
    const int root = comm.size() - 1;
    tensor.copy_(Numbers(comm.rank(), size, at::kFloat));
    comm.Broadcast(tensor, root);
    Require(at::equal(tensor, Numbers(root, size, at::kFloat)), "broadcast of " + std::to_string(size));
  }
}

// Different collectives one after another, so that one that ends too early meets the next.
inline void CheckManyInARow(Communicator& comm) {
  const double ranks_sum = comm.size() * (comm.size() - 1) / 2.0;
  const at::Tensor tensor = at::empty({3}, at::kDouble);
  for (int i = 0; i < 50; ++i) {
    tensor.fill_(comm.rank() + i);
    comm.AllReduceSum(tensor);
    Require(tensor.eq(ranks_sum + comm.size() * i).all().item<bool>(), "all-reduce " + std::to_string(i));
    tensor.fill_(comm.rank() * 100 + i);
    const int root = i % comm.size();
    comm.Broadcast(tensor, root);
    Require(tensor.eq(root * 100 + i).all().item<bool>(), "broadcast " + std::to_string(i));
    const std::vector<double> all = comm.AllGather(static_cast<double>(comm.rank() * i));
    for (int rank = 0; rank < comm.size(); ++rank) {
      Require(all[rank] == rank * i, "all-gather " + std::to_string(i));
    }
    comm.Barrier();
  }
}

// Odd and even ranks by themselves; then the first rank alone, beside the others' group.
inline void CheckSplit(Communicator& comm) {
  const auto halves = comm.Split(comm.rank() % 2, 1);
  Require(halves != nullptr, "a color without a group");
  Require(halves->rank() == comm.rank() / 2, "rank in a split");
  Require(halves->size() == (comm.size() + 1 - comm.rank() % 2) / 2, "size of a split");
  CheckAllReduceSum(*halves);
  CheckBroadcast(*halves);
  CheckAllToAll(*halves);
  comm.Barrier();
  const auto rest = comm.Split(comm.rank() == 0 ? -1 : 5, 1);
  Require((rest == nullptr) == (comm.rank() == 0), "who is in no group");
  if (rest) {
    Require(rest->AllGather(comm.rank()).front() == 1, "the order of the ranks in a split");
    CheckAllReduceWithFactors(*rest);
    const auto again = rest->Split(rest->rank() == 0 ? 0 : 1, 1);
    Require(again->size() == (rest->rank() == 0 ? 1 : rest->size() - 1), "size of a split's split");
    CheckAllGatherOfNumbers(*again);
  }
  CheckAllReduceSum(comm);
}

inline void CheckCollectives(Communicator& comm) {
  CheckAllReduceSum(comm);
  CheckBroadcast(comm);
  CheckAllGatherOfNumbers(comm);
  CheckAllGatherOfTexts(comm);
  CheckAllToAll(comm);
  CheckAllReduceWithFactors(comm);
  CheckLargeTensors(comm);
  CheckManyInARow(comm);
  CheckSplit(comm);
}

}  // namespace swarmsync::testing
