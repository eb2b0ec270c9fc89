#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "params/complaint.h"
#include "swarmsync/base/file.h"

struct zip;

namespace swarmsync {

// Reads the records of an archive that PyTorch wrote: all in one folder, stored and not compressed. Checks
// sizes before it sets memory aside, and checksums. Local; one thread. Throws what the complaint does.
class ZipArchive {
 public:
  // Borrows both.
  ZipArchive(const MappedFile& file, const Complaint& fail);

  bool Has(const std::string& record) const;
  // Throws also where all that has been read is more than the file, as it is where records lie in each other.
  std::string Read(const std::string& record);

 private:
  struct Closer {
    void operator()(zip* archive) const;
  };

  std::string FullName(const std::string& record) const { return folder_ + record; }

  const Complaint& fail_;
  std::unique_ptr<zip, Closer> archive_;
  std::string folder_;  // with the slash
  std::uint64_t left_;  // bytes that may still be read
};

}  // namespace swarmsync
