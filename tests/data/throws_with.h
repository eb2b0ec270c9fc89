#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace swarmsync {

// Expects that `action` throws an E whose message is one line and has every part in it.
template <class E, class Action>
void ExpectThrowsWith(Action action, const std::vector<std::string>& parts) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const E& error) {
    const std::string message = error.what();
    EXPECT_THAT(message, testing::Not(testing::HasSubstr("\n")));
    for (const std::string& part : parts) EXPECT_THAT(message, testing::HasSubstr(part));
  }
}

}  // namespace swarmsync
