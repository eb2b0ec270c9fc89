# What libswarmsync is built from; all of it is in Debian 12 (scripts/install-packages names the packages).
# Whoever takes the project in links with them too.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(Threads REQUIRED)
find_package(Torch REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(libjpeg-turbo CONFIG REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
# Debian's configuration of libzip for cmake asks for its tools as well.
find_library(SWARMSYNC_LIBZIP zip REQUIRED)
find_path(SWARMSYNC_LIBZIP_INCLUDE_DIR zip.h REQUIRED)
find_path(SWARMSYNC_PROTOZERO_INCLUDE_DIR protozero/pbf_writer.hpp REQUIRED)

# With a CUDA build of libtorch come the kernels for GPUs, and, where its header is, NCCL. libtorch's own configuration
# has found CUDA's compiler then.
if(TARGET torch_cuda)
  set(SWARMSYNC_CUDA ON)
  set(CMAKE_CUDA_STANDARD 17)
  find_path(SWARMSYNC_NCCL_INCLUDE_DIR nccl.h HINTS ${TORCH_INSTALL_PREFIX}/../nvidia/nccl/include)
endif()

# libtorch 2.x has the headers of an {fmt} of its own in front of the system's, whose library does not fit them.
find_path(SWARMSYNC_FMT_OF_TORCH fmt/format.h PATHS ${TORCH_INCLUDE_DIRS} NO_DEFAULT_PATH)
if(SWARMSYNC_FMT_OF_TORCH AND NOT SWARMSYNC_FMT_OF_TORCH STREQUAL "/usr/include")
  set(SWARMSYNC_FMT fmt::fmt-header-only)
else()
  set(SWARMSYNC_FMT fmt::fmt)
endif()

# Of MPI only the C interface is used.
if(NOT SWARMSYNC_MPI STREQUAL OFF)
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI COMPONENTS CXX)
  if(SWARMSYNC_MPI STREQUAL ON AND NOT MPI_CXX_FOUND)
    message(FATAL_ERROR "SWARMSYNC_MPI is ON, and there is no MPI; install libopenmpi-dev or libmpich-dev")
  endif()
endif()

# c10d's header of its Gloo group needs Gloo's; libtorch has the code.
find_path(SWARMSYNC_GLOO_INCLUDE_DIR gloo/context.h REQUIRED)
