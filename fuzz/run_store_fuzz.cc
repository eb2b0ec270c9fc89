// The runs of a comparison. Those that are asked for have a seed of 1 or 2 and no other flag.

#include "compare/run_store.h"
#include "fuzz/input.h"
#include "report/html_report.h"
#include "report/run_report.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  const std::filesystem::path path = WriteInput("runs.jsonl", Text(data, size));
  ReadOrRefuse([&] {
    RunStore store(path);
    for (const char* seed : {"1", "2"}) {
      const Flags flags{{"seed", seed}};
      OutcomesIn(store)(flags);
      if (const RunRecord* record = store.Find(flags))
        RenderReport(RunForReport(record->result, record->epochs, record->exchanges));
    }
    store.ForgetFailures();
  });
  return 0;
}
