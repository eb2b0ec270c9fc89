#include "cli/blas.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

namespace swarmsync {

std::string BlasLibrary() {
  Dl_info info{};
  void* const sgemm = dlsym(RTLD_DEFAULT, "sgemm_");
  if (sgemm == nullptr || dladdr(sgemm, &info) == 0 || info.dli_fname == nullptr)
    return "built into libtorch";
  std::error_code error;
  const std::filesystem::path file = std::filesystem::canonical(info.dli_fname, error);
  return error ? info.dli_fname : file.string();
}

std::string BlasWarning() {
  const std::string library = BlasLibrary();
  if (library.find("/blas/libblas") == std::string::npos) return "";
  return fmt::format(
      "libtorch multiplies matrices with the reference BLAS {}, which is some 25 times slower than "
      "OpenBLAS; install libopenblas0-pthread",
      library);
}

}  // namespace swarmsync
