#include "cli/manual.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "cli/program.h"

namespace swarmsync::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ManualTest : public ToolTest {
 protected:
  ManualTest() {
    std::filesystem::create_directory(Path("man"));
    EXPECT_EQ(Run({"man", "--directory", Path("man").string()}).exit_code, 0);
  }
  std::vector<std::filesystem::path> Pages() const {
    return {std::filesystem::directory_iterator(Path("man")), {}};
  }
  // As a reader sees it, on one line.
  std::string Rendered(const std::string& page) const {
    return RunScript(fmt::format("groff -man -Tascii -rLL=10000n -rHY=0 {} | col -b",
                                 (Path("man") / page).string()))
        .output;
  }
  std::string Help(Arguments command) const { return Run(command + Arguments{"--help"}).out; }
};

std::set<std::string> FlagsIn(const std::string& text) {
  const std::regex flag("(?:^|[ ,])(--[a-z][a-z-]*)");
  std::set<std::string> flags;
  for (std::sregex_iterator match(text.begin(), text.end(), flag), end; match != end; ++match)
    flags.insert((*match)[1]);
  return flags;
}

TEST_F(ManualTest, FormattersFindNothingWrong) {
  if (!IsInstalled("groff")) GTEST_SKIP() << "the program groff is not installed";
  const bool has_mandoc = IsInstalled("mandoc");
  EXPECT_GE(Pages().size(), 15u);
  for (const auto& page : Pages()) {
    EXPECT_EQ(RunScript("groff -man -ww -z " + page.string()).output, "") << page;
    if (has_mandoc) {
      EXPECT_EQ(RunScript("mandoc -T lint -W warning " + page.string() + " | grep -v 'missing date'").output,
                "");
    }
  }
}

TEST_F(ManualTest, APageHasEveryFlagOfHelp) {
  if (!IsInstalled("groff")) GTEST_SKIP() << "the program groff is not installed";
  const std::vector<std::pair<Arguments, std::string>> pages{
      {{}, "swarmsync.1"},
      {{"train"}, "swarmsync-train.1"},
      {{"compare"}, "swarmsync-compare.1"},
      {{"data", "get"}, "swarmsync-data-get.1"},
      {{"bench", "exchange"}, "swarmsync-bench-exchange.1"}};
  for (const auto& [command, page] : pages) {
    const std::set<std::string> in_page = FlagsIn(Rendered(page));
    for (const std::string& flag : FlagsIn(Help(command))) EXPECT_EQ(in_page.count(flag), 1u) << page << flag;
  }
}

TEST_F(ManualTest, TheSectionsOfTrain) {
  const ToolResult printed = Run({"man", "train"});
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_EQ(printed.out, ReadFile(Path("man") / "swarmsync-train.1"));
  std::size_t at = 0;
  for (const char* section : {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FILES", "ENVIRONMENT",
                              "EXIT STATUS", "EXAMPLES", "SEE ALSO"}) {
    const std::size_t found = printed.out.find(fmt::format("\n.SH {}\n", section), at);
    ASSERT_NE(found, std::string::npos) << section;
    at = found;
  }
  EXPECT_THAT(printed.out, AllOf(HasSubstr("(default: pso\\-ps)"), HasSubstr("summary.json"),
                                 HasSubstr("torchrun"), HasSubstr(".SS \"Synchronization\"")));
  EXPECT_EQ(Run({"man", "data", "get"}).out, ReadFile(Path("man") / "swarmsync-data-get.1"));
  ExpectOneLine(Run({"man", "trian"}), 2, {"'trian'", "did you mean 'train'?"});
}

TEST_F(ManualTest, EnvironmentVariablesAreThoseOfTheDocumentation) {
  const std::string docs = ReadFile(std::string(SWARMSYNC_SOURCE_DIR) + "/docs/command-line.md");
  const std::size_t begin = docs.find("\n## Environment"), end = docs.find("\n## ", begin + 1);
  ASSERT_NE(begin, std::string::npos);
  const std::string table = docs.substr(begin, end - begin);
  const std::regex variable("`([A-Z][A-Z_]+)`");
  std::set<std::string> documented, known;
  for (std::sregex_iterator match(table.begin(), table.end(), variable), none; match != none; ++match)
    documented.insert((*match)[1]);
  for (const Fact& fact : kEnvironment) known.emplace(fact.name);
  EXPECT_EQ(documented, known);
}

}  // namespace
}  // namespace swarmsync::testing
