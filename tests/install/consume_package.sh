#!/bin/bash
# Installs the package to a folder of its own, builds the examples against it as any project would, and runs them:
# own_loop plainly, as ranks set by hand, and by torchrun.
# usage: consume_package.sh SOURCE_DIR BINARY_DIR
set -euo pipefail
source=$1 binary=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
expect() { grep -q "$2" <<<"$1" || { echo "expected '$2' in: $1" >&2; exit 1; }; }

cmake --install "$binary" --prefix "$work/installed" >/dev/null
cp -r "$source/examples" "$work/examples"  # nothing of the source tree is in reach
examples=(own_loop own_model own_synchronizer regression)
cat >"$work/examples/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.25)
project(examples LANGUAGES CXX)
find_package(swarmsync REQUIRED OPTIONAL_COMPONENTS mpi)
foreach(example IN ITEMS ${examples[*]})
  add_subdirectory(\${example})
  set_target_properties(\${example} PROPERTIES RUNTIME_OUTPUT_DIRECTORY \${CMAKE_BINARY_DIR}/bin)
endforeach()
# Nothing of how the library was compiled reaches who uses it.
get_target_property(options swarmsync::swarmsync INTERFACE_COMPILE_OPTIONS)
if(options)
  message(FATAL_ERROR "swarmsync::swarmsync passes \${options} on")
endif()
if(TARGET swarmsync::mpi)
  file(WRITE \${CMAKE_BINARY_DIR}/mpi.cc "#include <swarmsync/comm/mpi.h>\nint main() { return swarmsync::ConnectMpi()->size() - 1; }\n")
  add_executable(with_mpi \${CMAKE_BINARY_DIR}/mpi.cc)
  target_link_libraries(with_mpi PRIVATE swarmsync::mpi)
endif()
EOF
cmake -S "$work/examples" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/installed" >/dev/null
cmake --build "$work/build" -- --quiet
"$work/installed/bin/swarmsync" --version
for file in bash-completion/completions/swarmsync zsh/site-functions/_swarmsync \
            fish/vendor_completions.d/swarmsync.fish man/man1/swarmsync.1 man/man1/swarmsync-train.1; do
  [ -s "$work/installed/share/$file" ] || { echo "share/$file is not installed" >&2; exit 1; }
done

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
expect "$("$work/build/bin/own_synchronizer")" "with elite-average"
expect "$("$work/build/bin/regression" || echo failed)" "mean distance from the quantile 0.0"
"$work/installed/bin/swarmsync" data get fashion-mnist --data-dir "$work/data" >/dev/null
expect "$("$work/build/bin/own_model" train --dataset fashion-mnist --data-dir "$work/data" --model wide --workers 2 --steps 20 \
  --threads-per-worker 1 --progress none --out "$work/wide")" "test accuracy"
expect "$("$work/build/bin/own_model" evaluate --data-dir "$work/data" --weights "$work/wide/model.safetensors")" "accuracy"
[ ! -e "$work/build/with_mpi" ] || "$work/build/with_mpi"
if [ -d "$work/installed/lib/python3/dist-packages/swarmsync" ]; then
  learned=$(PYTHONPATH=$work/installed/lib/python3/dist-packages /usr/bin/python3 -B "$work/examples/python_loop/train.py")
  expect "$learned" "1 workers, 94 exchanges: accuracy 0.9"
fi

plain=$("$work/build/bin/own_loop")
expect "$plain" "exchanges of 1 workers"

port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export MASTER_ADDR=127.0.0.1 MASTER_PORT=$port WORLD_SIZE=2
RANK=1 "$work/build/bin/own_loop" & other=$!
by_hand=$(RANK=0 "$work/build/bin/own_loop")
wait $other
expect "$by_hand" "exchanges of 2 workers"
unset MASTER_ADDR MASTER_PORT WORLD_SIZE

# Debian's torchrun fails on Python 3.11 unless it is told to redirect and to tee.
launched=$(/usr/bin/python3 -m torch.distributed.run -r 0:1 -t 0:1 --no_python --nproc_per_node 2 \
  --master_port 0 --rdzv_backend c10d --rdzv_endpoint 127.0.0.1:0 "$work/build/bin/own_loop" 2>&1)
expect "$launched" "exchanges of 2 workers"
