#!/usr/bin/python3
"""The accuracy figures of the main job: LeNet-5 on MNIST, 4 workers, batch 64 each, period 16, 5 epochs.

    bench/accuracy.py tune     learning rate of each synchronizer, on 5,000 held-out training samples, two seeds
    bench/accuracy.py study    one option of pso-ps at a time, on the held-out samples, two seeds
    bench/accuracy.py final    the chosen settings on the test set, three other seeds, all training samples
    bench/accuracy.py table    what the files say, as Markdown

Every finished run is a line of docs/results/mnist-main-job.jsonl and is never repeated, so the script can be
stopped and started again. The test set chooses nothing: tune and study look at validation_accuracy alone.
Python's standard library only.
"""

import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "build/release/swarmsync"
RESULTS = ROOT / "docs/results/mnist-main-job.jsonl"
COMMON = {"dataset": "mnist", "model": "lenet5", "workers": 4, "batch-size": 64, "period": 16, "epochs": 5}
TUNING_SEEDS, FINAL_SEEDS = (101, 102), (1, 2, 3)
RATES = (0.05, 0.1, 0.2)
VALIDATION = 5000
STUDIED = {"sync": "pso-ps", "lr": 0.1, "velocity": "total", "inertia": 0.7, "cognitive": 0, "social": 0.3,
           "random": "none", "memory": "current", "fitness": "train-loss"}
VARIATIONS = [
    {},
    {"inertia": 0}, {"inertia": 0.5}, {"inertia": 0.8},
    {"social": 0}, {"social": 0.1}, {"social": 0.6},
    {"random": "round"}, {"random": "tensor"}, {"random": "element"},
    {"memory": "historic"}, {"memory": "decay"},
    {"memory": "decay", "cognitive": 0.1}, {"memory": "historic", "cognitive": 0.1},
    {"fitness": "probe"},
    {"social": 0.05}, {"social": 0.2}, {"inertia": 0.5, "social": 0.1}, {"inertia": 0.8, "social": 0.1},
    {"inertia": 0.8, "social": 0.2}, {"random": "round", "social": 0.2}, {"random": "round", "inertia": 0.5},
    {"velocity": "swarm"}, {"velocity": "swarm", "inertia": 0},
]
# What the study chose: the defaults of the tool, spelled out so that the records say what was run.
CHOSEN = {"average": {"sync": "average"}, "ssgd": {"sync": "ssgd"}, "pso-ps": {**STUDIED, "social": 0.1}}
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}  # Student's t, two-sided, by degrees of freedom


def known():
    if not RESULTS.exists():
        return {}
    records = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {json.dumps(r["flags"], sort_keys=True): r for r in records}


def run(flags):
    """One training; its record, from the file when it is there."""
    flags = {**COMMON, **flags}
    found = known().get(json.dumps(flags, sort_keys=True))
    if found:
        return found
    with tempfile.TemporaryDirectory() as out:
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        subprocess.run([TOOL, "train", "--quiet", f"--out={out}/run", *arguments], check=True)
        summary = json.loads((pathlib.Path(out) / "run/summary.json").read_text())
    kept = ("validation_accuracy", "test_accuracy", "test_loss", "train_loss", "bytes_sent_per_worker", "rounds",
            "wall_seconds", "sync_seconds", "wait_seconds")
    record = {"flags": flags, "result": {key: summary[key] for key in kept if key in summary}}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(record) + "\n")
    print(json.dumps(record), flush=True)
    return record


def values(settings, seeds, key, **more):
    return [run({**settings, **more, "seed": seed})["result"][key] for seed in seeds]


def interval(numbers):
    """Half the width of the 95 % interval of the mean."""
    return T_95[len(numbers) - 1] * statistics.stdev(numbers) / math.sqrt(len(numbers))


def tuned(sync):
    """The validation accuracy by learning rate."""
    return {lr: statistics.mean(values({**CHOSEN[sync], "lr": lr}, TUNING_SEEDS, "validation_accuracy",
                                       validation=VALIDATION)) for lr in RATES}


def study():
    for variation in VARIATIONS:
        settings = {**STUDIED, **variation}
        yield variation, values(settings, TUNING_SEEDS, "validation_accuracy", validation=VALIDATION)


def final():
    for sync in CHOSEN:
        rates = tuned(sync)
        best = max(rates, key=rates.get)
        yield sync, best, values({**CHOSEN[sync], "lr": best}, FINAL_SEEDS, "test_accuracy")


def table():
    print("| synchronizer | " + " | ".join(f"lr {lr}" for lr in RATES) + " |\n| --- |" + " --- |" * len(RATES))
    for sync in CHOSEN:
        print(f"| {sync} | " + " | ".join(f"{accuracy:.4f}" for accuracy in tuned(sync).values()) + " |")
    print("\n| pso-ps with w 0.7, c2 0.3, lr 0.1, but for | validation accuracy (two seeds) |\n| --- | --- |")
    for variation, accuracies in study():
        name = ", ".join(f"{key} {value}" for key, value in variation.items()) or "nothing"
        print(f"| {name} | {statistics.mean(accuracies):.4f} ({', '.join(f'{a:.4f}' for a in accuracies)}) |")
    print("\n| synchronizer | lr | test accuracy, mean of three seeds ± 95 % | seeds |\n| --- | --- | --- | --- |")
    for sync, lr, accuracies in final():
        print(f"| {sync} | {lr} | {statistics.mean(accuracies):.4f} ± {interval(accuracies):.4f} | "
              f"{', '.join(f'{a:.4f}' for a in accuracies)} |")


if __name__ == "__main__":
    phases = {"tune": lambda: [tuned(sync) for sync in CHOSEN], "study": lambda: list(study()),
              "final": lambda: list(final()), "table": table}
    if len(sys.argv) != 2 or sys.argv[1] not in phases:
        sys.exit(__doc__)
    phases[sys.argv[1]]()
