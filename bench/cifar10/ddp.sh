#!/bin/bash
# PyTorch's DistributedDataParallel with the recipe of core.toml: the runs that RESULTS does not have yet.
# usage: bench/cifar10/ddp.sh RESULTS.jsonl LR [SEED…]
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,3p' "$0" >&2; exit 2; }
results=$1 lr=$2; shift 2
[ $# -gt 0 ] || set -- 1 2 3
touch "$results"
for seed in "$@"; do
  grep -q "\"lr\": $lr, \"seed\": $seed," "$results" && continue
  /usr/bin/python3 "$(dirname "$0")/../peers/train_ddp.py" --lr "$lr" --seed "$seed" \
    --data "${SWARMSYNC_DATA_DIR:-$HOME/.local/share/swarmsync}/cifar10" >>"$results"
done
