#!/usr/bin/python3
"""What each option of the swarm is worth: one at a time, on Fashion-MNIST with LeNet-5 and 4 workers, batch 32 each.

    bench/study.py run [STUDY …]     makes the trainings of these studies, or of all
    bench/study.py table [STUDY …]   prints what is known of them as Markdown

All is judged on 5,000 held-out training samples with three seeds; the test set has no part in it. Every finished run
is a line of docs/results/family/studies.jsonl and is never repeated, so it can be stopped and started again.
Python's standard library only.
"""

import os
import statistics
import sys

from experiment import ROOT, TOOL, Experiment, interval

COMMON = {"dataset": "fashion-mnist", "model": "lenet5", "workers": 4, "batch-size": 32, "epochs": 3,
          "backend": "threads", "validation": 5000}
SEEDS = (101, 102, 103)
# The defaults are spelled out, so that a record says what was run whatever becomes of them.
PSO_PS = {"sync": "pso-ps", "period": 16, "lr": 0.1, "momentum": 0, "velocity": "total", "inertia": 0.7,
          "cognitive": 0, "social": 0.1, "guide": "best", "random": "none", "memory": "current",
          "fitness": "train-loss", "final-average": 8, "momentum-at-sync": "keep"}
INFORMED = {"sync": "informed-pso-ps", "period": 16, "lr": 0.1, "momentum": 0, "inertia": 0.7, "social": 1, "beta": 0,
            "random": "none", "fitness": "train-loss", "final-average": 8}
AVERAGE = {"sync": "average", "period": 16, "lr": 0.1, "momentum": 0, "final-average": 0}
UNLIKE = {
    "alike": {},
    "learning rates .05 .1 .2 .4": {"worker-lr": "0.05,0.1,0.2,0.4"},
    "one with random labels": {"label-noise": "0,0,0,1"},
    "label skew 1": {"shard": "label-skew:1"},
    "label skew 0.1": {"shard": "label-skew:0.1"},
}
RATES = (0.05, 0.1, 0.2, 0.4)


def varied(base, **options):
    """The base, then each option with each of its other values."""
    return [("as it is", base)] + [(f"{flag.replace('_', '-')} {value}", {**base, flag.replace("_", "-"): value})
                                   for flag, values in options.items() for value in values]


def guides():
    """The control: is the best worker a better guide than any other?"""
    return [(f"{workers}; guide {guide}, social {social}", {**PSO_PS, **flags, "guide": guide, "social": social})
            for workers, flags in UNLIKE.items() for guide in ("best", "random") for social in (0.1, 0.3)]


STUDIES = {
    "pso-ps": varied(PSO_PS, final_average=(0, 3), inertia=(0, 0.3, 0.5, 0.8, 0.85, 0.9), social=(0.05, 0.2, 0.3, 0.6),
                     velocity=("swarm",), random=("round", "tensor", "element"), memory=("historic", "decay"),
                     fitness=("probe",)) + [
        ("velocity swarm, inertia 0", {**PSO_PS, "velocity": "swarm", "inertia": 0}),
        ("memory historic, cognitive 0.1", {**PSO_PS, "memory": "historic", "cognitive": 0.1}),
        ("memory decay, cognitive 0.1", {**PSO_PS, "memory": "decay", "cognitive": 0.1}),
        ("random round, social 0.2", {**PSO_PS, "random": "round", "social": 0.2}),
        ("random element, social 0.2", {**PSO_PS, "random": "element", "social": 0.2})],
    "guide": guides(),
    "momentum": [(f"momentum 0.9, lr {lr}, inertia {w}: {policy}",
                  {**PSO_PS, "momentum": 0.9, "lr": lr, "inertia": w, "momentum-at-sync": policy})
                 for lr, w in ((0.0125, 0.7), (0.025, 0.3), (0.05, 0)) for policy in ("keep", "reset")],
    "informed": varied(INFORMED, beta=(1, 4, 16), social=(0.1, 0.4, 0.7), random=("round", "element"),
                       inertia=(0, 0.3, 0.5, 0.8, 0.9), final_average=(0,), fitness=("probe",)) + [
        ("social 2, random round", {**INFORMED, "social": 2, "random": "round"}),
        ("social 0.7, beta 4", {**INFORMED, "social": 0.7, "beta": 4})],
    "auto": [(f"{base['sync']}, period {period}, lr {lr}, inertia {w}",
              {**base, "period": period, "lr": lr, "inertia": w})
             for base in (PSO_PS, INFORMED) for period in (16, 64) for lr in (0.1, 0.2)
             for w in ("auto", 0.3, 0.5, 0.7)],
    "average": [(f"{sync}, lr {lr}, final-average {power}", {**AVERAGE, "sync": sync, "lr": lr, "final-average": power})
                for sync in ("average", "slowmo") for lr in RATES for power in (0, 8)],
}


def experiment():
    return Experiment(ROOT / "docs/results/family/studies.jsonl", COMMON, os.environ.get("SWARMSYNC", TOOL))


def run(names):
    for name in names:
        for _, flags in STUDIES[name]:
            experiment().values(flags, SEEDS, "validation_accuracy")


def table(names):
    for name in names:
        print(f"\n| {name} | validation accuracy, % (mean of three seeds ± 95 %) | seeds |\n| --- | --- | --- |")
        for label, flags in STUDIES[name]:
            found = [experiment().find({**flags, "seed": seed}) for seed in SEEDS]
            if None in found:
                continue
            numbers = [100 * result.get("validation_accuracy", 0) for result in found]
            each = ", ".join(f"{number:.2f}" if number else "diverged" for number in numbers)
            print(f"| {label} | {statistics.mean(numbers):.2f} ± {interval(numbers):.2f} | {each} |")


if __name__ == "__main__":
    commands = {"run": run, "table": table}
    if len(sys.argv) < 2 or sys.argv[1] not in commands or not set(sys.argv[2:]) <= set(STUDIES):
        sys.exit(f"{__doc__}\nThe studies: {', '.join(STUDIES)}")
    commands[sys.argv[1]](sys.argv[2:] or list(STUDIES))
