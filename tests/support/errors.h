#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>

namespace swarmsync::testing {

// The message of the E that `run` throws. Anything else that it does is a test failure, and gives "".
template <class E, class F>
std::string MessageOf(F&& run) {
  try {
    run();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception was thrown: " << error.what();
    return "";
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace swarmsync::testing
