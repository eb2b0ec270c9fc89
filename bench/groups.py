#!/usr/bin/python3
"""Groups of workers (`--group-size`): what they save between hosts and what they cost in accuracy.

    bench/groups.py run       makes the trainings: LeNet-5 on Fashion-MNIST, 8 workers, as if on two hosts
    bench/groups.py table     prints what is known as Markdown

Every finished run is a line of docs/results/speed/groups.jsonl and is never repeated, so it can be stopped and started
again. Nothing is chosen by these runs, so they are judged on the test set. Python's standard library only.
"""

import statistics
import sys

from experiment import ROOT, Experiment, interval

WORKERS, GROUP = 8, 4
COMMON = {"dataset": "fashion-mnist", "model": "lenet5", "workers": WORKERS, "batch-size": 32, "lr": 0.1, "epochs": 5,
          "backend": "threads", "threads-per-worker": 1}
SEEDS = (1, 2, 3)
SYNCS = ("average", "pso-ps", "informed-pso-ps")
# The part of the bytes without groups that goes to the other host: an all-reduce sends to all others alike; the
# guide of pso-ps goes down a binomial tree, 5.25 of whose 7 edges cross, the mean over its roots.
CROSSING = {"average": 4 / 7, "informed-pso-ps": 4 / 7, "pso-ps": 5.25 / 7}
WAYS = {
    "all, every 16 steps": {"period": 16},
    "all, every 64 steps": {"period": 64},
    "groups every 4, all every 16": {"period": 16, "group-size": GROUP, "group-period": 4},
    "groups every 4, all every 64": {"period": 64, "group-size": GROUP, "group-period": 4},
    "groups every 16, all every 64": {"period": 64, "group-size": GROUP, "group-period": 16},
}


def between_hosts(sync, result):
    """Megabytes that a worker sends to the other host, the mean."""
    straight = result["bytes_sent_per_worker"] * CROSSING[sync]
    return result.get("bytes_sent_between_groups_per_worker", straight) / 1e6


def table(experiment):
    print("| synchronizer | exchanges | test accuracy | MB a worker sends to the other host |\n| --- | --- | ---: | ---: |")
    for sync in SYNCS:
        for name, flags in WAYS.items():
            found = [experiment.find({"sync": sync, **flags, "seed": seed}) for seed in SEEDS]
            if None in found:
                continue
            accuracy = [100 * result.get("test_accuracy", 0.0) for result in found]
            print(f"| {sync} | {name} | {statistics.mean(accuracy):.2f} ± {interval(accuracy):.2f} "
                  f"| {statistics.mean(between_hosts(sync, result) for result in found):.2f} |")


def main():
    experiment = Experiment(ROOT / "docs/results/speed/groups.jsonl", COMMON)
    if sys.argv[1:] == ["run"]:
        for sync in SYNCS:
            for flags in WAYS.values():
                experiment.values({"sync": sync, **flags}, SEEDS, "test_accuracy")
    elif sys.argv[1:] == ["table"]:
        table(experiment)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
