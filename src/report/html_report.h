#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace swarmsync {

// The report page with its data in it: one HTML file that needs nothing else. What the data hold is described
// at the head of report.js; numbers that are not finite become null. Pure.
std::string RenderReport(const nlohmann::ordered_json& data);

}  // namespace swarmsync
