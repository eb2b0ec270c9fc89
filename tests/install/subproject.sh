#!/bin/bash
# A project that takes SwarmSync in with add_subdirectory(), and one with FetchContent: both configure, their own code
# compiles against swarmsync::swarmsync, and none of our flags, tests or settings reach them. The library itself is not
# built once more; that it links and runs is the test of the installed package.
# usage: subproject.sh SOURCE_DIR
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$source/examples/own_loop/own_loop.cc" "$work"

for way in "add_subdirectory($source swarmsync)" \
           "include(FetchContent)
            FetchContent_Declare(swarmsync SOURCE_DIR $source)
            FetchContent_MakeAvailable(swarmsync)"; do
  rm -rf "$work/build"
  cat >"$work/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
$way
foreach(setting IN ITEMS CMAKE_CXX_STANDARD CMAKE_POSITION_INDEPENDENT_CODE CMAKE_CXX_COMPILER_LAUNCHER CMAKE_BUILD_TYPE)
  if(DEFINED \${setting} AND NOT "\${\${setting}}" STREQUAL "")
    message(FATAL_ERROR "\${setting} has become '\${\${setting}}'")
  endif()
endforeach()
if(TARGET sync_test OR TARGET kernels)
  message(FATAL_ERROR "tests or benchmarks of SwarmSync are built")
endif()
add_executable(own_loop own_loop.cc)
target_link_libraries(own_loop PRIVATE swarmsync::swarmsync)
EOF
  cmake -S "$work" -B "$work/build" -G Ninja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  command=$(grep -A1 '"directory"' "$work/build/compile_commands.json" | grep ' -c .*/own_loop.cc')
  for flag in -Wall -Wextra -ffp-contract -O3 -fsanitize -fpch-preprocess; do
    ! grep -q -- " $flag" <<<"$command" || { echo "$flag has come to the consumer: $command" >&2; exit 1; }
  done
done
cmake --build "$work/build" --target CMakeFiles/own_loop.dir/own_loop.cc.o -- --quiet
