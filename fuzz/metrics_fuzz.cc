// The files of a run that its report is made from: config.json, summary.json, metrics.jsonl.

#include "fuzz/input.h"
#include "report/run_report.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::vector<std::string_view> parts = SplitInput(Text(data, size), 3);
  const RunFiles files{InputDirectory()};
  WriteInput(files.config().filename(), parts[0]);
  WriteInput(files.summary().filename(), parts[1]);
  WriteInput(files.metrics().filename(), parts[2]);
  ReadOrRefuse([&] {
    const Metrics metrics(files);
    for (const std::size_t most : {1, 3, 1000}) metrics.Of("loss", most);
  });
  ReadOrRefuse([&] { WriteRunReport(files); });
  return 0;
}
