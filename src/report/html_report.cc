#include "report/html_report.h"

#include <fmt/format.h>

#include <map>
#include <string_view>

#include "report/assets.h"

namespace swarmsync {
namespace {

// JSON that may stand in a <script> element: nothing in it can end the element.
std::string ForScript(const nlohmann::ordered_json& data) {
  std::string text = data.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::size_t at = 0;
  while ((at = text.find('<', at)) != std::string::npos) text.replace(at, 1, "\\u003c");
  return text;
}

}  // namespace

std::string RenderReport(const nlohmann::ordered_json& data) {
  const std::string json = ForScript(data);
  const std::map<std::string_view, std::string_view> parts = {
      {"uplot_css", kAssetUplotCss}, {"uplot_js", kAssetUplotJs},   {"report_css", kAssetReportCss},
      {"charts_js", kAssetChartsJs}, {"report_js", kAssetReportJs}, {"data", json}};
  std::string page;
  std::string_view rest = kAssetReportTemplate;
  for (;;) {
    const std::size_t begin = rest.find("{{");
    page += rest.substr(0, begin);
    if (begin == std::string_view::npos) return page;
    const std::size_t end = rest.find("}}", begin);
    page += parts.at(rest.substr(begin + 2, end - begin - 2));
    rest.remove_prefix(end + 2);
  }
}

}  // namespace swarmsync
