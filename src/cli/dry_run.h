#pragma once

#include <string>

#include "swarmsync/train/config.h"
#include "train/run_plan.h"

namespace swarmsync {

// What --dry-run prints: workers, data, length, exchanges, bytes and memory. program_bytes: of memory that
// the program takes before it makes a worker. Pure.
std::string DescribePlan(const TrainConfig& config, const RunPlan& plan, std::int64_t program_bytes);

// The bytes of this process that are in memory now; 0 where they cannot be found out.
std::int64_t ResidentBytes();

}  // namespace swarmsync
