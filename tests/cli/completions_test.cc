// What bash, zsh and fish themselves offer with the scripts of `swarmsync completion`.

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/program.h"
#include "swarmsync/sync/options.h"
#include "train/config_fields.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CompletionsTest : public ToolTest {
 protected:
  std::string Script(const std::string& shell) {
    const ToolResult result = Run({"completion", shell});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    WriteBytes(Path(shell), result.out);
    return Path(shell).string();
  }

  // What bash offers for a line of these words, the last of which the cursor is behind.
  std::string Bash(const std::string& words) {
    return RunScript(fmt::format("source {}\ncompopt() {{ :; }}  # works only inside of a completion\n"
                                 "COMP_WORDS=({})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_swarmsync\n"
                                 "echo \"${{COMPREPLY[*]}}\"\n",
                                 bash_, words))
        .output;
  }

  std::string bash_ = Script("bash");
};

TEST_F(CompletionsTest, BashOffersCommandsFlagsAndValues) {
  EXPECT_THAT(Bash("swarmsync ''"),
              AllOf(HasSubstr("train"), HasSubstr("completion"), Not(HasSubstr("worker"))));
  EXPECT_EQ(Bash("swarmsync tr"), "train\n");
  EXPECT_EQ(Bash("swarmsync --verbose tr"), "train\n");
  EXPECT_EQ(Bash("swarmsync data ''"), "list get verify\n");
  EXPECT_EQ(Bash("swarmsync train --sy"), "--sync --sync-warmup-steps\n");
  EXPECT_EQ(Bash("swarmsync train --sync ps"), "pso-ps\n");
  EXPECT_EQ(Bash("swarmsync train --sync = ps"), "pso-ps\n") << "as bash divides --sync=ps";
  EXPECT_EQ(Bash("swarmsync train --sync ="), fmt::format("{}\n", fmt::join(SynchronizerNames(), " ")));
  EXPECT_EQ(Bash("swarmsync compare --wire ''"), "fp32 bf16 int8\n");
  EXPECT_EQ(Bash("swarmsync train --lr ''"), "\n") << "any number";
  EXPECT_EQ(Bash("swarmsync data get c"), "cifar10\n");
  EXPECT_EQ(Bash("swarmsync train --guard --ba"), "--batch-size --backend\n") << "--guard takes no value";
}

TEST_F(CompletionsTest, BashOffersFilesAndDirectories) {
  WriteBytes(Path("file.toml"), "");
  std::filesystem::create_directory(Path("fine"));
  const std::string here = Path("fi").string();
  EXPECT_EQ(Bash("swarmsync train --out " + here), Path("fine").string() + "\n");
  EXPECT_THAT(Bash("swarmsync train --config " + here), AllOf(HasSubstr("file.toml"), HasSubstr("fine")));
  EXPECT_EQ(Bash("swarmsync train --dataset id"), "idx:\n");
  EXPECT_THAT(Bash("swarmsync train --dataset idx : " + here), HasSubstr("fine"));
}

TEST_F(CompletionsTest, FishOffersThem) {
  if (!IsInstalled("fish")) GTEST_SKIP() << "the program fish is not installed";
  const std::string script = Script("fish");
  const auto fish = [&](const std::string& line) {
    return RunScript(
               fmt::format("HOME=$PWD fish --no-config -c \"source {}; complete -C '{}'\"", script, line))
        .output;
  };
  EXPECT_THAT(fish("swarmsync "),
              AllOf(HasSubstr("train\tTrain one model"), HasSubstr("data\t"), Not(HasSubstr("worker\t"))));
  EXPECT_THAT(fish("swarmsync train --sy"),
              AllOf(HasSubstr("--sync\t"), HasSubstr("--sync-warmup-steps\t"), Not(HasSubstr("--period"))));
  EXPECT_THAT(fish("swarmsync train --sync ps"), AllOf(HasSubstr("pso-ps\t"), Not(HasSubstr("slowmo\t"))));
  EXPECT_THAT(fish("swarmsync train --sync=slo"), HasSubstr("slowmo"));
  EXPECT_THAT(fish("swarmsync data get "), AllOf(HasSubstr("mnist"), HasSubstr("cifar10")));
  EXPECT_THAT(fish("swarmsync info --sy"), Not(HasSubstr("--sync")));
}

TEST_F(CompletionsTest, ZshOffersThem) {
  if (!IsInstalled("zsh")) GTEST_SKIP() << "the program zsh is not installed";
  const std::string script = Script("zsh");
  // Types a line and two tabs; ends well when zsh shows what is expected.
  const auto offers = [&](const std::string& line, const std::string& expected) {
    WriteBytes(
        Path("type"),
        fmt::format("zmodload zsh/zpty\nzpty z zsh -f -i\n"
                    "zpty -w z 'PS1=; autoload -U compinit; compinit -u -D; source {}; echo rea\"\"dy'\n"
                    "zpty -r -m z out '*ready*' || exit 1\n"
                    "zpty -w -n z '{}'$'\\t\\t'\nzpty -r -m z out '*{}*'\n",
                    script, line, expected));
    return RunScript(fmt::format("HOME=$PWD TERM=xterm timeout 60 zsh -f {}", Path("type").string()))
               .exit_code == 0;
  };
  EXPECT_TRUE(offers("swarmsync train --sy", "--sync-warmup-steps"));
  EXPECT_TRUE(offers("swarmsync train --sync ps", "pso-ps"));
  EXPECT_TRUE(offers("swarmsync data get ", "fashion-mnist"));
  EXPECT_TRUE(offers("swarmsync be", "bench"));
}

TEST_F(CompletionsTest, NoFlagOfTrainIsMissing) {
  const std::string bash = ReadFile(bash_), zsh = ReadFile(Script("zsh")), fish = ReadFile(Script("fish"));
  const TrainConfig config;
  VisitFields(config, [&](const char* name, const auto& member, const char* help, const char*) {
    EXPECT_THAT(bash, HasSubstr(fmt::format("--{} ", name)));
    EXPECT_THAT(zsh, HasSubstr(fmt::format("'--{}", name)));
    EXPECT_THAT(fish, HasSubstr(fmt::format("' train'\" -l {} ", name)));
    using Member = std::decay_t<decltype(member)>;
    if constexpr (std::is_enum_v<Member>) {
      for (const std::string& value : AllNames<Member>()) {
        EXPECT_THAT(bash, HasSubstr(value)) << name;
        if (value != "auto" && value != "on" && value != "off") {
          EXPECT_THAT(help, HasSubstr(value)) << "--help of " << name << " tells all";
        }
      }
    }
  });
}

TEST_F(CompletionsTest, AnUnknownShellIsRefused) {
  ExpectOneLine(Run({"completion", "fis"}), 2, {"'fis'", "did you mean 'fish'?", "bash"});
  ExpectOneLine(Run({"completion"}), 2, {"shell", "required"});
}

}  // namespace
}  // namespace swarmsync::testing
