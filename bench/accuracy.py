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

import statistics
import sys

from experiment import ROOT, Experiment, interval

COMMON = {"dataset": "mnist", "model": "lenet5", "workers": 4, "batch-size": 64, "period": 16, "epochs": 5}
TUNING_SEEDS, FINAL_SEEDS = (101, 102), (1, 2, 3)
RATES = (0.05, 0.1, 0.2)
VALIDATION = 5000
STUDIED = {"sync": "pso-ps", "lr": 0.1, "velocity": "total", "inertia": 0.7, "cognitive": 0, "social": 0.3,
           "random": "none", "memory": "current", "fitness": "train-loss", "final-average": 0}
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
    {"social": 0.1, "final-average": 8},
]
# What the study chose: the defaults of the tool, spelled out so that the records say what was run. Then the same
# rules with and without the average of all rounds, so that the rule and the average can be told apart.
PSO_PS = {**STUDIED, "social": 0.1}
CHOSEN = {"pso-ps": {**PSO_PS, "final-average": 8}, "average": {"sync": "average"}, "ssgd": {"sync": "ssgd"},
          "pso-ps, last position": PSO_PS, "average, averaged": {"sync": "average", "final-average": 8},
          "ssgd, averaged": {"sync": "ssgd", "final-average": 8}}

EXPERIMENT = Experiment(ROOT / "docs/results/mnist-main-job.jsonl", COMMON)


def values(settings, seeds, key, **more):
    return EXPERIMENT.values({**settings, **more}, seeds, key)


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
