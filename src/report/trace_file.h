#pragma once

#include <string>

#include "report/growing_file.h"
#include "swarmsync/report/run_files.h"
#include "swarmsync/report/trace_span.h"

namespace swarmsync {

// One worker's part of a run's trace, in Chrome's format: events of JSON in an array without an end, which
// chrome://tracing and Perfetto take as it is, also that of a worker that was killed. Keeps some spans back
// and writes them together. Not thread-safe. Throws RunError.
class TraceFile {
 public:
  // Goes on with what an earlier life of the worker has written.
  TraceFile(const RunFiles& files, int worker);
  ~TraceFile();  // writes what it can
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  void Add(const TraceSpan& span);
  void Flush();

 private:
  int worker_;
  GrowingFile file_;
  std::string unwritten_;
};

// Makes trace.json of the parts of all workers, and removes them. Nobody writes to them any more. Throws
// RunError, DataError.
void MergeTrace(const RunFiles& files);

}  // namespace swarmsync
