#!/usr/bin/python3
"""Exchanges between two network namespaces, as between two hosts: what crosses from one to the other.

    bench/namespaces.py [--workers-per-host W] [--parameters N] [--repetitions R] [--syncs NAME,NAME,…] [--tool TOOL]

Runs each synchronizer's exchange (`swarmsync bench exchange`, which verifies it) with and without --group-size W, and
prints a Markdown table: milliseconds, the bytes that the kernel sent over the cable between the namespaces, and those
of the ledger, for one exchange of all workers. Ends with 1 where the two differ by more than 8 %, with 77 where no
namespaces can be made (it needs root and Debian's iproute2).
"""

import argparse
import json
import os
import subprocess
import sys

from experiment import TOOL

SKIPPED = 77
HOSTS = ["10.213.0.1", "10.213.0.2"]
PORT = 29500
TOKEN = "0123456789abcdef"  # nobody else is here
TOLERANCE = 0.08  # headers, and the barriers between exchanges


class Hosts:
    """Two namespaces and a cable between them, gone when this is."""

    def __init__(self):
        self.names = [f"swarmsync-{os.getpid()}-{i}" for i in range(2)]

    def __enter__(self):
        try:
            for name in self.names:
                output_of(["ip", "netns", "add", name])
            output_of(["ip", "link", "add", "cable", "netns", self.names[0], "type", "veth", "peer", "name",
                       "cable", "netns", self.names[1]])
            for name, address in zip(self.names, HOSTS):
                output_of(on(name, "ip", "link", "set", "lo", "up"))
                output_of(on(name, "ip", "addr", "add", f"{address}/24", "dev", "cable"))
                output_of(on(name, "ip", "link", "set", "cable", "mtu", "65000", "up"))
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            print(f"skipped: no network namespaces here ({error})", file=sys.stderr)
            sys.exit(SKIPPED)
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)

    def sent(self):
        """Bytes over the cable up to now, both ways."""
        links = [json.loads(output_of(on(name, "ip", "-s", "-j", "link", "show", "cable"))) for name in self.names]
        return sum(link[0]["stats64"]["tx"]["bytes"] for link in links)

    def start(self, host, command, variables):
        return subprocess.Popen(on(self.names[host], *command), env={**os.environ, **variables},
                                stdout=subprocess.PIPE, text=True)


def on(namespace, *command):
    """Not `ip netns exec`, which fails in a chroot, as it wants to mount things anew."""
    return ["nsenter", f"--net=/run/netns/{namespace}", *command]


def output_of(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def run(hosts, command, workers_per_host):
    """Runs it as all ranks. What rank 0 printed, and the bytes over the cable."""
    size, before = 2 * workers_per_host, hosts.sent()
    ranks = [hosts.start(rank // workers_per_host, command,
                         {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank % workers_per_host),
                          "MASTER_ADDR": HOSTS[0], "MASTER_PORT": str(PORT), "GLOO_SOCKET_IFNAME": "cable",
                          "SWARMSYNC_TOKEN": TOKEN,
                          "SWARMSYNC_SHM_DISABLE": "1"})  # they are on one host after all
             for rank in range(size)]
    outputs = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        sys.exit(f"{' '.join(command)} ended with {[rank.returncode for rank in ranks]}")
    return json.loads(outputs[0]), hosts.sent() - before


def of_one_exchange(hosts, sync, group_size, arguments):
    """What the tool says, and the bytes over the cable, without those of the start and the verification."""
    def run_with(repetitions):
        return run(hosts, [arguments.tool, "bench", "exchange", f"--sync={sync}", f"--group-size={group_size}",
                           f"--parameters={arguments.parameters}", f"--repetitions={repetitions}"],
                   arguments.workers_per_host)

    (_, of_few), (result, of_many) = run_with(1), run_with(1 + arguments.repetitions)
    return result, (of_many - of_few) / arguments.repetitions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers-per-host", type=int, default=2)
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--syncs", default="average,pso-ps,informed-pso-ps,ssgd")
    parser.add_argument("--tool", default=str(TOOL))
    arguments = parser.parse_args()
    wrong = []
    print("| synchronizer | groups of | ms | MB over the cable | MB by the ledger |\n| --- | ---: | ---: | ---: | ---: |")
    with Hosts() as hosts:
        for sync in arguments.syncs.split(","):
            for group_size in (1, arguments.workers_per_host):
                result, cable = of_one_exchange(hosts, sync, group_size, arguments)
                # Without groups the tool knows nothing of hosts.
                ledger = result["bytes_between_groups_per_worker"] * result["workers"] if group_size > 1 else None
                if ledger is not None and abs(cable - ledger) > TOLERANCE * ledger:
                    wrong.append(f"{sync}: {cable:.0f} bytes over the cable, {ledger:.0f} by the ledger")
                print(f"| {sync} | {group_size} | {result['milliseconds']['median']:.2f} | {cable / 1e6:.3f} "
                      f"| {'' if ledger is None else f'{ledger / 1e6:.3f}'} |", flush=True)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
