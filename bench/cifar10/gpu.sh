#!/bin/bash
# The comparisons of gpu.toml and gpu-rounds.toml for some networks and numbers of workers, each in
# OUT/NETWORK-WORKERS/gpu or …/gpu-rounds. Given again, it goes on where it was; flags after -- go to `swarmsync compare`.
# usage: bench/cifar10/gpu.sh OUT ["NETWORK…" ["WORKERS…"]] [-- FLAG…]
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,4p' "$0" >&2; exit 2; }
out=$1; shift
networks="resnet20 resnet18" numbers="4 8 16"
[ $# -eq 0 ] || [ "$1" = -- ] || { networks=$1; shift; }
[ $# -eq 0 ] || [ "$1" = -- ] || { numbers=$1; shift; }
[ $# -eq 0 ] || shift
for network in $networks; do
  for workers in $numbers; do
    for grid in gpu gpu-rounds; do
      "${SWARMSYNC:-swarmsync}" compare --config "$(dirname "$0")/$grid.toml" --model "$network" --workers "$workers" \
        --out "$out/$network-$workers/$grid" "$@"
    done
  done
done
