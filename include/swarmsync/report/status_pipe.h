#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "swarmsync/base/error.h"
#include "swarmsync/report/progress.h"

namespace swarmsync {

// What a worker process tells its supervisor, one JSON object a line through a pipe.
struct StatusNote {
  std::string line;  // something worth showing to the user
};
struct StatusFailure {
  ExitCode code = ExitCode::kRunFailed;
  std::string message;
};
struct StatusWaiting {  // for a generation of the world behind this one
  int generation = 0;
  std::string why;
};
using Status = std::variant<Progress, StatusNote, StatusFailure, StatusWaiting>;

std::string EncodeStatus(const Status& status);  // one line, without its end

// Throws DataError when the line is not one of EncodeStatus().
Status DecodeStatus(std::string_view line);

// Writes a status to a file descriptor. A supervisor that is gone is not an error.
void SendStatus(int fd, const Status& status);

}  // namespace swarmsync
