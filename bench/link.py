#!/usr/bin/python3
"""Fewer bits and exchanges beside the training: what they cost in accuracy and what they win on a slow link.

    bench/link.py run       makes the trainings: the main job (MNIST, LeNet-5, 4 workers, period 16)
    bench/link.py table     prints what is known as Markdown

Every finished run is a line of docs/results/speed/link.jsonl and is never repeated, so it can be stopped and started
again. Nothing is chosen by these runs, so they are judged on the test set. Python's standard library only.
"""

import statistics
import sys

from experiment import ROOT, Experiment, interval

COMMON = {"dataset": "mnist", "model": "lenet5", "workers": 4, "period": 16, "lr": 0.1, "backend": "threads"}
SEEDS = (1, 2, 3)
SYNCS = ("pso-ps", "informed-pso-ps", "average", "ssgd")
LINK = "100mbit,20ms"
TIMED = {"epochs": 5, "link": LINK}  # the ways to train over that link, in turns
WAYS = {
    "no exchange": {"period": 100000, "link": "none"},
    "blocking": {},
    "blocking, int8": {"wire": "int8"},
    "`--overlap 12`": {"overlap": 12},
    "`--overlap 12`, int8": {"overlap": 12, "wire": "int8"},
}


def variants(sync):
    for wire in ("fp32", "bf16", "int8"):
        yield f"{wire}", {"wire": wire}
    if sync != "ssgd":
        for steps in (4, 16):
            yield f"`--overlap {steps}`", {"overlap": steps}
        yield "`--overlap 16`, int8", {"overlap": 16, "wire": "int8"}


def percent(numbers):
    return f"{100 * statistics.mean(numbers):.2f} ± {100 * interval(numbers):.2f}"


def run(experiment):
    for seed in SEEDS:
        for sync in SYNCS[:3]:
            for way in WAYS.values():
                experiment.run({"sync": sync, **TIMED, **way, "seed": seed})
    for sync in SYNCS:
        for _, flags in variants(sync):
            experiment.values({"sync": sync, **flags}, SEEDS, "test_accuracy")


def table(experiment):
    print("| synchronizer | | test accuracy | above fp32, blocking | bytes of fp32 |\n| --- | --- | ---: | ---: | ---: |")
    for sync in SYNCS:
        for name, flags in variants(sync):
            found = [experiment.find({"sync": sync, **flags, "seed": seed}) for seed in SEEDS]
            whole = [experiment.find({"sync": sync, "wire": "fp32", "seed": seed}) for seed in SEEDS]
            if None in found or None in whole:
                continue
            accuracy = [result["test_accuracy"] for result in found]
            above = [a - result["test_accuracy"] for a, result in zip(accuracy, whole)]
            part = found[0]["bytes_sent_per_worker"] / whole[0]["bytes_sent_per_worker"]
            print(f"| {sync} | {name} | {percent(accuracy)} | {'' if name == 'fp32' else percent(above)} | {part:.3f} |")
    print(f"\nSeconds of training of five epochs on `--link {LINK}`, medians:\n\n| synchronizer | {' | '.join(WAYS)} |")
    print("| --- |" + " ---: |" * len(WAYS))
    for sync in SYNCS[:3]:
        cells = []
        for way in WAYS.values():
            found = [experiment.find({"sync": sync, **TIMED, **way, "seed": seed}) for seed in SEEDS]
            if None not in found:
                cells.append(statistics.median(300000 / result["samples_per_second"] for result in found))
        print(f"| {sync} | " + " | ".join(f"{cell:.2f} ({cell / cells[0]:.2f})" for cell in cells) + " |")


def main():
    commands = {"run": run, "table": table}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(__doc__)
    commands[sys.argv[1]](Experiment(ROOT / "docs/results/speed/link.jsonl", COMMON))


if __name__ == "__main__":
    main()
