// What a worker tells its supervisor.

#include "fuzz/input.h"
#include "swarmsync/report/status_pipe.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace swarmsync;
  ReadOrRefuse([&] {
    const Status status = DecodeStatus(Text(data, size));
    try {
      if (DecodeStatus(EncodeStatus(status)).index() != status.index())
        throw std::logic_error("another kind of status");
    } catch (const DataError&) {
      throw std::logic_error("a status that was read once cannot be read again");
    }
  });
  return 0;
}
