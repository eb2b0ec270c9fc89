#!/bin/bash
# Starts the workers of one host, of a run on several, and waits for them.
#
#   SWARMSYNC_TOKEN=SECRET start_host.sh HOST HOSTS WORKERS ADDRESS INTERFACE FLAG…
#
# HOST: the number of this one, from 0. HOSTS: how many there are. WORKERS: on each. ADDRESS: of host 0. INTERFACE: the
# network interface of this host that the hosts talk through. FLAG…: those of `swarmsync train`, the same on all hosts;
# --out is a directory that all of them see. SECRET: the job's, the same on all hosts; 16 characters or more.
#
# Ends with the code of a worker that failed, rather than of one that only lost another (4).
set -euo pipefail
[ $# -ge 5 ] || { sed -n '4p' "$0" >&2; exit 2; }
host=$1 hosts=$2 workers=$3
export MASTER_ADDR=$4 MASTER_PORT=${MASTER_PORT:-29500} GLOO_SOCKET_IFNAME=$5
export WORLD_SIZE=$((hosts * workers)) LOCAL_WORLD_SIZE=$workers
shift 5

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
trap 'exit 143' TERM INT
for ((local = 0; local < workers; ++local)); do
  RANK=$((host * workers + local)) LOCAL_RANK=$local "${SWARMSYNC:-swarmsync}" train "$@" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
  code=0
  wait "$pid" || code=$?
  if [ "$status" -eq 0 ] || [ "$status" -eq 4 ] && [ "$code" -ne 0 ]; then status=$code; fi
done
pids=()
exit "$status"
