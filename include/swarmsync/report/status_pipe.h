#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "swarmsync/base/error.h"
#include "swarmsync/report/progress.h"

namespace swarmsync {

// Something worth showing to the user.
struct StatusNote {
  std::string line;  // without its end
};
// The worker has failed, and ends.
struct StatusFailure {
  ExitCode code = ExitCode::kRunFailed;  // what it ends with
  std::string message;                   // what is wrong, one line
};
// The worker waits for a generation of the world behind this one.
struct StatusWaiting {
  int generation = 0;  // that it leaves; 0: it has just been started
  std::string why;     // what made it leave; "" where nothing did
};
// What a worker process tells its supervisor, one JSON object a line through a pipe.
using Status = std::variant<Progress, StatusNote, StatusFailure, StatusWaiting>;

std::string EncodeStatus(const Status& status);  // one line, without its end

// What that line says. Throws DataError when it is not one of EncodeStatus().
Status DecodeStatus(std::string_view line);

// Writes a status to a file descriptor. A supervisor that is gone is not an error.
void SendStatus(int fd, const Status& status);

}  // namespace swarmsync
