#include <curl/curl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <exception>
#include <mutex>
#include <utility>

#include "data/archive_source.h"
#include "data/gzip.h"
#include "swarmsync/base/error.h"
#include "swarmsync/data/source.h"

namespace swarmsync {
namespace {

constexpr std::size_t kSlack = std::size_t{1} << 16;  // gzip makes what it cannot shrink a little larger

// One transfer, as libcurl's callbacks see it.
struct Transfer {
  std::vector<std::uint8_t> bytes;
  std::size_t max_size = 0;
  const FetchProgress* progress = nullptr;
  std::exception_ptr interruption;  // what `progress` threw: it must not pass through libcurl's C frames
};

std::size_t OnBytes(char* bytes, std::size_t one, std::size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (transfer.bytes.size() + one * size > transfer.max_size) return 0;  // ends the transfer
  transfer.bytes.insert(transfer.bytes.end(), bytes, bytes + one * size);
  return one * size;
}

int OnProgress(void* user, curl_off_t total, curl_off_t received, curl_off_t, curl_off_t) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (!*transfer.progress) return 0;
  try {
    (*transfer.progress)(static_cast<std::int64_t>(received), static_cast<std::int64_t>(total));
  } catch (...) {
    transfer.interruption = std::current_exception();
    return 1;  // ends the transfer
  }
  return 0;
}

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

// Transfers from one server.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options) : options_(std::move(options)) {}

  // The bytes at `url`, at most max_size. Throws DataError.
  std::vector<std::uint8_t> Get(const std::string& url, std::size_t max_size, const FetchProgress& progress) {
    if (!unreachable_.empty()) throw DataError(unreachable_);
    static std::once_flag initialized;
    std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    const std::unique_ptr<CURL, CurlDeleter> handle(curl_easy_init());
    CURL* curl = handle.get();
    if (curl == nullptr) throw RunError("libcurl cannot start");

    Transfer transfer;
    transfer.max_size = max_size;
    transfer.progress = &progress;
    char detail[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);  // other threads may run
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, options_.protocols.c_str());
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, options_.protocols.c_str());
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "swarmsync");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_timeout.count()));
    for (const char* variable : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
      const char* path = std::getenv(variable);
      if (path != nullptr && *path != '\0') curl_easy_setopt(curl, CURLOPT_CAINFO, path);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);

    const CURLcode result = curl_easy_perform(curl);
    if (transfer.interruption) std::rethrow_exception(transfer.interruption);
    if (result != CURLE_OK) Fail(curl, result, detail, transfer);
    return std::move(transfer.bytes);
  }

 private:
  [[noreturn]] void Fail(CURL* curl, CURLcode result, const char* detail, const Transfer& transfer) {
    std::string reason = *detail != '\0' ? detail : curl_easy_strerror(result);
    if (result == CURLE_WRITE_ERROR) reason = fmt::format("sent more than {} bytes", transfer.max_size);
    // Before the first byte of a connection: the next file would only wait for the same.
    double connect_seconds = 0;
    curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME, &connect_seconds);
    const bool is_unreachable =
        result == CURLE_COULDNT_RESOLVE_PROXY || result == CURLE_COULDNT_RESOLVE_HOST ||
        result == CURLE_COULDNT_CONNECT || result == CURLE_SSL_CONNECT_ERROR ||
        result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_UNSUPPORTED_PROTOCOL ||
        (result == CURLE_OPERATION_TIMEDOUT && connect_seconds == 0);
    if (is_unreachable) unreachable_ = reason;
    throw DataError(reason);
  }

  HttpOptions options_;
  std::string unreachable_;  // why the host cannot be reached, once that is known
};

class HttpSource : public DataSource {
 public:
  HttpSource(std::string base_url, HttpOptions options)
      : base_url_(std::move(base_url)), client_(std::move(options)) {
    if (base_url_.empty() || base_url_.back() != '/') {
      throw UsageError(fmt::format("the URL '{}' of a source does not end in a slash", base_url_));
    }
  }

  std::string Describe() const override { return base_url_; }

  std::vector<std::uint8_t> Fetch(const DataFile& file, const FetchProgress& progress) override {
    const auto size = static_cast<std::size_t>(file.size);
    const std::vector<std::uint8_t> bytes =
        client_.Get(base_url_ + file.name + ".gz", size + kSlack, progress);
    return Uncompressed(bytes.data(), bytes.size(), size, file.name);
  }

 private:
  std::string base_url_;
  HttpClient client_;
};

class HttpArchive : public ArchiveSource {
 public:
  HttpArchive(std::string url, FileInArchive file_in_archive, HttpOptions options)
      : ArchiveSource(std::move(file_in_archive)), url_(std::move(url)), client_(std::move(options)) {}

  std::string Describe() const override { return url_; }

 private:
  std::vector<std::uint8_t> FetchArchive(const FetchProgress& progress) override {
    const std::vector<std::uint8_t> bytes = client_.Get(url_, kMaxArchive, progress);
    return Uncompressed(bytes.data(), bytes.size(), kMaxArchive, url_);
  }

  std::string url_;
  HttpClient client_;
};

}  // namespace

std::unique_ptr<DataSource> MakeHttpSource(std::string base_url, HttpOptions options) {
  return std::make_unique<HttpSource>(std::move(base_url), std::move(options));
}

std::unique_ptr<DataSource> MakeHttpArchive(std::string url, FileInArchive file_in_archive,
                                            HttpOptions options) {
  return std::make_unique<HttpArchive>(std::move(url), std::move(file_in_archive), std::move(options));
}

}  // namespace swarmsync
