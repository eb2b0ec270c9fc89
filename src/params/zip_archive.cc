#include "params/zip_archive.h"

#include <zip.h>

#include <string_view>

namespace swarmsync {
namespace {

// A record that is being read.
struct RecordCloser {
  void operator()(zip_file_t* record) const { zip_fclose(record); }
};

}  // namespace

void ZipArchive::Closer::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive::ZipArchive(const MappedFile& file, const Complaint& fail) : fail_(fail), left_(file.size()) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(file.data(), file.size(), /*freep=*/0, &error);
  if (source != nullptr) archive_.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
  const std::string why = zip_error_strerror(&error);
  zip_error_fini(&error);
  if (!archive_) {
    zip_source_free(source);  // an archive would have taken it
    fail("it is no zip archive that can be read ({})", why);
  }
  const char* first = zip_get_name(archive_.get(), 0, ZIP_FL_ENC_RAW);
  const std::string_view name = first == nullptr ? "" : first;
  folder_ = name.substr(0, name.find('/') + 1);  // npos + 1 is 0
  if (folder_.empty()) fail("its zip archive is not one that torch.save writes: it has no folder");
}

bool ZipArchive::Has(const std::string& record) const {
  return zip_name_locate(archive_.get(), FullName(record).c_str(), ZIP_FL_ENC_RAW) >= 0;
}

std::string ZipArchive::Read(const std::string& record) {
  const zip_int64_t index = zip_name_locate(archive_.get(), FullName(record).c_str(), ZIP_FL_ENC_RAW);
  zip_stat_t about;
  if (index < 0 || zip_stat_index(archive_.get(), static_cast<zip_uint64_t>(index), 0, &about) != 0)
    fail_("its zip archive has no record '{}'", record);
  constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if ((about.valid & kNeeded) != kNeeded || about.comp_method != ZIP_CM_STORE ||
      about.encryption_method != ZIP_EM_NONE) {
    fail_("the record '{}' is compressed or encrypted, which torch.save does not do", record);
  }
  if (about.size > left_)
    fail_("its records claim more bytes than the file has ('{}': {})", record, about.size);
  left_ -= about.size;

  const std::unique_ptr<zip_file_t, RecordCloser> opened(
      zip_fopen_index(archive_.get(), static_cast<zip_uint64_t>(index), 0));
  if (!opened) fail_("the record '{}' cannot be read ({})", record, zip_strerror(archive_.get()));
  std::string bytes(about.size, '\0');
  std::size_t read = 0;
  for (zip_int64_t count = 1; count > 0 && read < bytes.size(); read += static_cast<std::size_t>(count)) {
    count = zip_fread(opened.get(), bytes.data() + read, bytes.size() - read);
    if (count < 0) fail_("the record '{}' cannot be read ({})", record, zip_file_strerror(opened.get()));
  }
  char beyond;  // the checksum is looked at behind the last byte
  if (read < bytes.size() || zip_fread(opened.get(), &beyond, 1) != 0)
    fail_("the record '{}' is damaged ({})", record, zip_file_strerror(opened.get()));
  return bytes;
}

}  // namespace swarmsync
