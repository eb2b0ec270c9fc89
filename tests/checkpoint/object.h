#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "swarmsync/checkpoint/state.h"

namespace swarmsync::testing {

struct Record {
  double number;
  std::int32_t count;
};

// An object with a piece of each kind.
struct Object {
  at::Tensor always = at::zeros({2, 3});
  at::Tensor perhaps, never;
  double real = 0;
  std::int64_t whole = 0;
  std::uint32_t word = 0;
  bool flag = false;
  std::vector<Record> records;
  std::string bytes;

  void VisitState(StateVisitor& state) {
    state.TensorInPlace("always", Held::kByAll, always);
    state.Tensor("perhaps", Held::kByEach, perhaps, at::zeros({4}));
    state.Tensor("never", Held::kByEach, never);
    const StateVisitor::Within within(state, "numbers");
    state.Number("real", Held::kByAll, real);
    state.Number("whole", Held::kByEach, whole);
    state.Number("word", Held::kByEach, word);
    state.Number("flag", Held::kByEach, flag);
    state.Records("records", Held::kByEach, records);
    state.Bytes("bytes", Held::kByEach, bytes);
  }
};

}  // namespace swarmsync::testing
