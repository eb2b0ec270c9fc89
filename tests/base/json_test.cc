#include "base/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace swarmsync {
namespace {

using Json = nlohmann::json;

std::string Nested(int levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(Json, IsParsed) {
  EXPECT_EQ(ParseJson<Json>(R"({"a":[1,{"b":"]]}"}]})").at("a").at(1).at("b"), "]]}");
  EXPECT_EQ(ParseJson<Json>(Nested(64)).size(), 1u);
  EXPECT_THROW(ParseJson<Json>("[1,"), Json::exception);
}

TEST(Json, ThatWouldExhaustTheStackIsRefused) {
  for (const int levels : {65, 1'000'000}) EXPECT_THROW(ParseJson<Json>(Nested(levels)), Json::exception);
  EXPECT_THROW(ParseJson<Json>(std::string(1'000'000, '[')), Json::exception);
}

TEST(Json, BracketsInTextAreText) {
  const std::string brackets(100, '{');
  EXPECT_EQ(ParseJson<Json>("[\"\\\"" + brackets + "\"]").at(0), "\"" + brackets);
}

TEST(Json, BracketsSideBySideAreNotDeep) {
  std::string list = "[";
  for (int i = 0; i < 200; ++i) list += "[],";
  EXPECT_EQ(ParseJson<Json>(list + "{}]").size(), 201u);
}

TEST(Json, AWholeNumberIsNothingElse) {
  EXPECT_EQ(WholeNumber(Json(-3)), -3);
  for (const char* other : {"1.0", "1e300", "true", "null", "\"1\"", "[1]"})
    EXPECT_THROW(WholeNumber(Json::parse(other)), Json::exception) << other;
}

TEST(Json, AWholeNumberFitsItsType) {
  const Json most = std::numeric_limits<std::uint64_t>::max(),
             least = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(WholeNumber<std::uint64_t>(most), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(WholeNumber(least), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(WholeNumber<int>(Json(-7)), -7);
  EXPECT_THROW(WholeNumber(most), Json::exception);
  EXPECT_THROW(WholeNumber<int>(least), Json::exception);
  EXPECT_THROW(WholeNumber<int>(Json(1LL << 31)), Json::exception);
  EXPECT_THROW(WholeNumber<std::uint64_t>(Json(-1)), Json::exception);
}

}  // namespace
}  // namespace swarmsync
