#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace swarmsync::testing {

inline const at::Device kGpu(at::kCUDA, 0);

// Tests that are skipped where libtorch can use no GPU.
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "there is no GPU that libtorch can use";
  }
};

}  // namespace swarmsync::testing
