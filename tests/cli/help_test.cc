#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/tool.h"
#include "train/config_fields.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class HelpTest : public ToolTest {
 protected:
  std::string Output(const Arguments& arguments) {
    const ToolResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err.size(), 0u);
    return result.out;
  }
};

TEST_F(HelpTest, Version) {
  EXPECT_THAT(Output({"--version"}), MatchesRegex("swarmsync [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(HelpTest, OfTheToolNamesTheCommandsAndTheExitCodes) {
  const std::string help = Output({"--help"});
  for (const char* command : {"train", "compare", "evaluate", "export", "data", "bench", "info", "completion", "man"})
    EXPECT_THAT(help, HasSubstr(command));
  EXPECT_THAT(help, AllOf(HasSubstr("Exit codes"), HasSubstr("128+signal"), HasSubstr("--version")));
  EXPECT_THAT(help, ::testing::Not(HasSubstr("worker "))) << "that one is not for people";
  EXPECT_EQ(Output({"-h"}), help);
}

TEST_F(HelpTest, OfTrainNamesEveryFlagWithItsDefault) {
  const std::string help = Output({"train", "--help"});
  const TrainConfig defaults;
  VisitFields(defaults, [&](const char* name, const auto&, const char* text, const char* group) {
    EXPECT_THAT(help, AllOf(HasSubstr(std::string("--") + name), HasSubstr(group)));
    EXPECT_THAT(help, HasSubstr(std::string(text).substr(0, 10))) << name;
  });
  EXPECT_THAT(help,
              AllOf(HasSubstr("--config"), HasSubstr("Example: swarmsync train"), HasSubstr("torchrun")));
  EXPECT_THAT(help, AllOf(HasSubstr("lenet5"), HasSubstr("pso-ps"), HasSubstr("=processes"),
                          HasSubstr("--seed N  ")));
}

TEST_F(HelpTest, OfTheOtherCommands) {
  EXPECT_THAT(Output({"evaluate", "--help"}),
              AllOf(HasSubstr("--weights"), HasSubstr("--dataset"), HasSubstr("--json"),
                    HasSubstr("Example: swarmsync evaluate")));
  EXPECT_THAT(Output({"export", "--help"}),
              AllOf(HasSubstr("--weights"), HasSubstr("--out"), HasSubstr("--format"),
                    HasSubstr("Example: swarmsync export")));
  EXPECT_THAT(Output({"data", "--help"}), AllOf(HasSubstr("list"), HasSubstr("get"), HasSubstr("verify"),
                                                HasSubstr("Example: swarmsync data get")));
  EXPECT_THAT(Output({"data", "get", "--help"}), AllOf(HasSubstr("fashion-mnist"), HasSubstr("--data-dir")));
  EXPECT_THAT(Output({"info", "--help"}), HasSubstr("BLAS"));
}

TEST_F(HelpTest, InfoTellsWhatThereIs) {
  const std::string info = Output({"info"});
  for (const char* what :
       {"swarmsync", "libtorch", "devices", "cpu", "backends", "processes", "threads", "synchronizers",
        "average, diloco, easgd, informed-pso-ps, leader, pso-ps, slowmo, ssgd", "models", "lenet5, mlp",
        "blas", "cores"}) {
    EXPECT_THAT(info, HasSubstr(what));
  }
}

TEST_F(HelpTest, DataListTellsWhatIsThere) {
  const std::string where = Path("sets").string();
  std::string list = Output({"data", "list", "--data-dir", where});
  EXPECT_THAT(list,
              AllOf(HasSubstr("mnist"), HasSubstr("fashion-mnist"), HasSubstr("absent"), HasSubstr(where)));
  WriteIdxDataset(Path("sets/mnist"));
  list = Output({"data", "list", "--data-dir", where});
  EXPECT_THAT(list, HasSubstr("incomplete")) << "the files are not of the right size";

  const ToolResult by_variable = Run({"data", "list"}, {{"SWARMSYNC_DATA_DIR", where}});
  EXPECT_EQ(by_variable.out, list);
}

TEST_F(HelpTest, DataVerifyNamesEveryFileThatIsWrong) {
  WriteIdxDataset(Path("sets/mnist"));
  std::filesystem::remove(Path("sets/mnist/t10k-labels-idx1-ubyte"));
  const ToolResult result = Run({"data", "verify", "mnist", "--data-dir", Path("sets").string()});
  ExpectOneLine(result, 3, {"4 files are missing or damaged", "swarmsync data get"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("t10k-labels-idx1-ubyte: missing"),
                                HasSubstr("train-images-idx3-ubyte: damaged"),
                                HasSubstr("6bbc9ace898e44ae57da46a324031adb")));
}

}  // namespace
}  // namespace swarmsync::testing
