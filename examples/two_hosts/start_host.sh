#!/bin/bash
# Starts the workers of one host, of a run on several.
#
#   SWARMSYNC_TOKEN=SECRET start_host.sh HOST HOSTS WORKERS ADDRESS INTERFACE FLAG…
#
# HOST: the number of this one, from 0. HOSTS: how many there are. WORKERS: on each. ADDRESS: of host 0. INTERFACE: the
# network interface of this host that the hosts talk through. FLAG…: those of `swarmsync train`, the same on all hosts;
# --out is a directory that all of them see. SECRET: the job's, the same on all hosts; 16 characters or more.
set -euo pipefail
host=$1 hosts=$2 workers=$3
export MASTER_ADDR=$4 MASTER_PORT=${MASTER_PORT:-29500} GLOO_SOCKET_IFNAME=$5 WORLD_SIZE=$((hosts * workers))
shift 5

pids=()
for ((local = 0; local < workers; ++local)); do
  RANK=$((host * workers + local)) LOCAL_RANK=$local "${SWARMSYNC:-swarmsync}" train "$@" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
  wait "$pid" || status=$?
done
exit $status
