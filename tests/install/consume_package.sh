#!/bin/bash
# Installs the package to a folder of its own, builds examples/own_loop against it as any project would, and runs it
# the three ways it can be launched: plainly, as ranks set by hand, and by torchrun.
# usage: consume_package.sh SOURCE_DIR BINARY_DIR
set -euo pipefail
source=$1 binary=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
expect() { grep -q "$2" <<<"$1" || { echo "expected '$2' in: $1" >&2; exit 1; }; }

cmake --install "$binary" --prefix "$work/installed" >/dev/null
cp -r "$source/examples/own_loop" "$work/own_loop"  # nothing of the source tree is in reach
cmake -S "$work/own_loop" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/installed" >/dev/null
cmake --build "$work/build"
"$work/installed/bin/swarmsync" --version
for file in bash-completion/completions/swarmsync zsh/site-functions/_swarmsync \
            fish/vendor_completions.d/swarmsync.fish man/man1/swarmsync.1 man/man1/swarmsync-train.1; do
  [ -s "$work/installed/share/$file" ] || { echo "share/$file is not installed" >&2; exit 1; }
done

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
plain=$("$work/build/own_loop")
expect "$plain" "exchanges of 1 workers"

port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export MASTER_ADDR=127.0.0.1 MASTER_PORT=$port WORLD_SIZE=2
RANK=1 "$work/build/own_loop" & other=$!
by_hand=$(RANK=0 "$work/build/own_loop")
wait $other
expect "$by_hand" "exchanges of 2 workers"
unset MASTER_ADDR MASTER_PORT WORLD_SIZE

# Debian's torchrun fails on Python 3.11 unless it is told to redirect and to tee.
launched=$(/usr/bin/python3 -m torch.distributed.run -r 0:1 -t 0:1 --no_python --nproc_per_node 2 \
  --master_port 0 --rdzv_backend c10d --rdzv_endpoint 127.0.0.1:0 "$work/build/own_loop" 2>&1)
expect "$launched" "exchanges of 2 workers"
