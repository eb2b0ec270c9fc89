#!/bin/bash
# One worker of four with a diverging learning rate, or with random labels: every synchronizer but ssgd, with and
# without --guard, beside the same run with the three healthy workers alone. Nothing is tuned. Resumable.
# usage: bench/family/faults.sh OUT      (docs/results/family.md has what came of it)
set -euo pipefail
out=$1
tool=${SWARMSYNC:-$(dirname "$0")/../../build/release/swarmsync}

run() {  # run CASE FLAGS…
  "$tool" compare --out "$out/$1" --dataset fashion-mnist --model lenet5 --batch-size 32 --steps 1404 --period 16 \
    --sync average,slowmo,informed-pso-ps,pso-ps,diloco,easgd,leader --lr 0.1 --outer-momentum 0.7 \
    --inertia "informed-pso-ps:0.7;pso-ps:0.7" --social "informed-pso-ps:1;pso-ps:0.1;leader:0.1" --slow-beta slowmo:0.5 \
    --final-average 0 --seeds 1,2,3 "${@:2}"
}

run healthy --workers 3
for guard in "" --guard; do run "diverging$guard" --workers 4 --worker-lr 0.1,0.1,0.1,5 $guard; done
for guard in "" --guard; do run "labels$guard" --workers 4 --label-noise 0,0,0,1 $guard; done
