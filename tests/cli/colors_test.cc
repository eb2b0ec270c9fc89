#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/program.h"

namespace swarmsync::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ColorsTest : public ToolTest {
 protected:
  // What the tool prints when it is started from a terminal, with these variables.
  std::string OnTerminal(const std::string& variables, const Arguments& arguments) const {
    std::string command = "stty cols 150; " SWARMSYNC_TOOL;
    for (const std::string& argument : arguments) command += " " + argument;
    return RunScript(fmt::format("env -u NO_COLOR CUDA_VISIBLE_DEVICES= {} script -qec '{}' /dev/null",
                                 variables, command))
        .output;
  }
};

constexpr const char* kEscape = "\033[";

TEST_F(ColorsTest, AnErrorIsRedOnATerminal) {
  const Arguments wrong{"train", "--perid=3"};
  EXPECT_THAT(OnTerminal("TERM=xterm", wrong), HasSubstr("\033[31mswarmsync:\033[0m unknown flag"));
  EXPECT_THAT(OnTerminal("TERM=xterm NO_COLOR=", wrong), HasSubstr(kEscape)) << "empty is as if not there";
  EXPECT_THAT(OnTerminal("TERM=xterm NO_COLOR=1", wrong), Not(HasSubstr(kEscape)));
  EXPECT_THAT(OnTerminal("TERM=dumb", wrong), Not(HasSubstr(kEscape)));
  EXPECT_THAT(OnTerminal("-u TERM", wrong), Not(HasSubstr(kEscape)));
  EXPECT_THAT(Run(wrong, {{"TERM", "xterm"}}).err, Not(HasSubstr(kEscape))) << "into a file";
}

TEST_F(ColorsTest, WarningsAndTheBarHaveColors) {
  const Arguments train =
      Train("run", {"--progress=auto", "--backend=threads", "--workers=1", "--slow-alpha=0.5"});
  const std::string output = OnTerminal("TERM=xterm", train);
  EXPECT_THAT(output, HasSubstr("swarmsync: \033[33mwarning:\033[0m --slow-alpha does nothing"));
  EXPECT_THAT(output, HasSubstr("[\033[32m#"));
  EXPECT_THAT(OnTerminal("TERM=xterm NO_COLOR=1", train + Arguments{"--overwrite"}), Not(HasSubstr(kEscape)));
}

}  // namespace
}  // namespace swarmsync::testing
