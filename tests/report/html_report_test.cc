#include "report/html_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

namespace swarmsync {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using OrderedJson = nlohmann::ordered_json;

OrderedJson Fixture(const std::string& name) {
  std::ifstream file(std::string(SWARMSYNC_SOURCE_DIR "/tests/report/") + name);
  return OrderedJson::parse(file);
}

// The data that the page carries.
OrderedJson DataIn(const std::string& page) {
  const std::string before = "id=\"report-data\">";
  const std::size_t begin = page.find(before) + before.size();
  return OrderedJson::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST(RenderReport, CarriesItsDataWholeWhateverTheyHold) {
  for (const char* name : {"report_train.json", "report_compare.json"}) {
    const OrderedJson data = Fixture(name);
    const std::string page = RenderReport(data);
    EXPECT_EQ(DataIn(page), data) << name;
    EXPECT_THAT(page, HasSubstr("uPlot")) << "the charting library is in it";
    EXPECT_THAT(page, Not(HasSubstr("{{data}}")));
  }
}

TEST(RenderReport, DataEndNoScriptAndFillNoPlace) {
  const OrderedJson data = {{"kind", "train"}, {"title", "</script><b>{{report_js}}"}};
  const std::string page = RenderReport(data);
  EXPECT_EQ(DataIn(page), data);
  EXPECT_THAT(page, Not(HasSubstr("</script><b>")));
}

TEST(RenderReport, AsksTheNetworkForNothing) {
  const std::string page = RenderReport(Fixture("report_train.json"));
  for (const char* reference : {"src=\"http", "href=\"http", "@import", "url(http"}) {
    EXPECT_THAT(page, Not(HasSubstr(reference)));
  }
}

TEST(RenderReport, NumbersThatAreNotFiniteBecomeNull) {
  const std::string page = RenderReport({{"kind", "train"}, {"x", std::nan("")}});
  EXPECT_TRUE(DataIn(page).at("x").is_null());
}

}  // namespace
}  // namespace swarmsync
