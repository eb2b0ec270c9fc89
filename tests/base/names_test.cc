#include "swarmsync/base/names.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "support/errors.h"

namespace swarmsync {

enum class Color { kRed, kGreen, kBlue };
template <>
struct EnumNames<Color> {
  static constexpr std::string_view kWhat = "color";
  static constexpr std::array<std::pair<Color, std::string_view>, 2> kNames{
      {{Color::kRed, "red"}, {Color::kGreen, "green"}}};
};

namespace {

using testing::MessageOf;

const std::vector<std::string> kSynchronizers = {"average", "pso-ps", "ssgd"};

TEST(Nearest, FindsTheNameThatWasMeant) {
  EXPECT_EQ(Nearest("avrage", kSynchronizers), "average");
  EXPECT_EQ(Nearest("sgd", kSynchronizers), "ssgd");
  EXPECT_EQ(Nearest("pso_ps", kSynchronizers), "pso-ps");
  EXPECT_EQ(Nearest("pso", kSynchronizers), "");  // three letters of three are missing
}

TEST(Nearest, IsNobodyWhenAllAreFar) {
  EXPECT_EQ(Nearest("zookeeper", kSynchronizers), "");
  EXPECT_EQ(Nearest("average", {}), "");
}

TEST(Nearest, TakesTheFirstOfEquallyNear) { EXPECT_EQ(Nearest("cat", {"bat", "hat"}), "bat"); }

RC_GTEST_PROP(Nearest, OfAKnownNameIsThatName, ()) {
  const std::string name = *rc::gen::elementOf(kSynchronizers);
  RC_ASSERT(Nearest(name, kSynchronizers) == name);
}

RC_GTEST_PROP(Nearest, ForgivesOneWrongLetter, (unsigned char letter)) {
  const std::string meant = *rc::gen::elementOf(kSynchronizers);
  std::string typed = meant;
  typed[*rc::gen::inRange<std::size_t>(0, typed.size())] = static_cast<char>(letter);
  RC_ASSERT(Nearest(typed, kSynchronizers) == meant);
}

RC_GTEST_PROP(Nearest, IsACandidateOrNobody,
              (const std::string& name, const std::vector<std::string>& candidates)) {
  const std::string nearest = Nearest(name, candidates);
  RC_ASSERT(nearest.empty() || std::count(candidates.begin(), candidates.end(), nearest) > 0);
}

TEST(UnknownName, SuggestsTheNearestAndListsAll) {
  EXPECT_EQ(UnknownName("synchronizer", "avrage", kSynchronizers),
            "unknown synchronizer 'avrage'; did you mean 'average'? (one of average, pso-ps, ssgd)");
}

TEST(UnknownName, SuggestsNothingFarFetched) {
  EXPECT_EQ(UnknownName("synchronizer", "zookeeper", kSynchronizers),
            "unknown synchronizer 'zookeeper' (one of average, pso-ps, ssgd)");
}

TEST(EnumNames, AreParsedAndPrintedBack) {
  for (const std::string& name : AllNames<Color>()) EXPECT_EQ(ToString(ParseEnum<Color>(name)), name);
  EXPECT_EQ(AllNames<Color>(), (std::vector<std::string>{"red", "green"}));
  EXPECT_EQ(ParseEnum<Color>("green"), Color::kGreen);
  EXPECT_EQ(ToString(Color::kBlue), "?");
}

TEST(EnumNames, AWrongNameIsAUsageErrorThatSuggests) {
  EXPECT_EQ(MessageOf<UsageError>([] { ParseEnum<Color>("gren"); }),
            "unknown color 'gren'; did you mean 'green'? (one of red, green)");
  MessageOf<UsageError>([] { ParseEnum<Color>("Red"); });
  MessageOf<UsageError>([] { ParseEnum<Color>(""); });
}

TEST(Error, SaysWhatTheProcessExitsWith) {
  EXPECT_EQ(static_cast<int>(RunError("x").exit_code()), 1);
  EXPECT_EQ(static_cast<int>(UsageError("x").exit_code()), 2);
  EXPECT_EQ(static_cast<int>(DataError("x").exit_code()), 3);
  EXPECT_EQ(static_cast<int>(CommError("x").exit_code()), 4);
}

TEST(Interrupted, NamesTheSignal) {
  EXPECT_EQ(Interrupted(15).signal(), 15);
  EXPECT_STREQ(Interrupted(15).what(), "stopped by signal 15 (Terminated)");
}

}  // namespace
}  // namespace swarmsync
