#!/bin/bash
# One run of four workers, two on each of two hosts. The hosts are network namespaces of this machine with a cable
# between them, so it needs root and Debian's iproute2; on real ones, run start_host.sh on each.
#
#   two_hosts.sh FLAG…     those of `swarmsync train`
#
# Ends with 77 where no namespaces can be made.
set -euo pipefail
start_host=$(dirname "$0")/start_host.sh
hosts=("swarmsync-$$-0" "swarmsync-$$-1")

# ${on[HOST]} COMMAND…   Not `ip netns exec`, which fails in a chroot, as it wants to mount things anew. No function:
# in the background that would be a shell beside the command, and only the shell would be stopped at the end.
on=("nsenter --net=/run/netns/${hosts[0]}" "nsenter --net=/run/netns/${hosts[1]}")
remove_hosts() {
  for host in "${hosts[@]}"; do ip netns del "$host" 2>/dev/null || true; done
}
trap remove_hosts EXIT
ip netns add "${hosts[0]}" && ip netns add "${hosts[1]}" &&
  ip link add cable netns "${hosts[0]}" type veth peer name cable netns "${hosts[1]}" ||
  { echo "skipped: no network namespaces here" >&2; exit 77; }
for number in 0 1; do
  ${on[$number]} ip link set lo up
  ${on[$number]} ip address add "10.213.1.$((number + 1))/24" dev cable
  ${on[$number]} ip link set cable up
done

SWARMSYNC_TOKEN=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
export SWARMSYNC_TOKEN
export SWARMSYNC_SHM_DISABLE=1  # these hosts share their memory, which real ones do not
${on[1]} "$start_host" 1 2 2 10.213.1.1 cable "$@" &
second=$!
trap 'kill $second 2>/dev/null || true; remove_hosts' EXIT
status=0 code=0
${on[0]} "$start_host" 0 2 2 10.213.1.1 cable "$@" || status=$?
wait $second || code=$?
[ $status -ne 0 ] || status=$code
exit $status
