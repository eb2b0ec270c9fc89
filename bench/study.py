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
# All is spelled out, so that a record says what was run whatever becomes of the defaults. With beta 0 and social 1,
# informed-pso-ps is SlowMo.
PSO_PS = {"sync": "pso-ps", "period": 16, "lr": 0.1, "momentum": 0, "velocity": "total", "inertia": 0.7,
          "cognitive": 0, "social": 0.1, "guide": "best", "random": "none", "memory": "current",
          "fitness": "train-loss", "final-average": 8, "momentum-at-sync": "keep"}
INFORMED = {"sync": "informed-pso-ps", "period": 16, "lr": 0.1, "momentum": 0, "inertia": 0.7, "social": 1, "beta": 0,
            "random": "none", "fitness": "train-loss", "final-average": 8}
UNLIKE = {
    "alike": {},
    "learning rates .025 .05 .1 .2": {"worker-lr": "0.025,0.05,0.1,0.2"},
    "one with random labels": {"label-noise": "0,0,0,1"},
    "label skew 1": {"shard": "label-skew:1"},
    "label skew 0.1": {"shard": "label-skew:0.1"},
}


def differs(base, but):
    """A line of a study: its label, its flags, and the flags of the line that it is held against, seed by seed."""
    return (", ".join(f"{flag} {value}" for flag, value in but.items()), {**base, **but}, base)


def varied(base, *variations, **options):
    """The base, then each option with each of its other values, then variations of more than one option."""
    singles = [{flag.replace("_", "-"): value} for flag, values in options.items() for value in values]
    return [("as it is", base, None)] + [differs(base, but) for but in (*singles, *variations)]


def guides():
    """The control: is the best worker a better guide than any other?"""
    for workers, flags in UNLIKE.items():
        for social in (0.1, 0.3):
            base = {**PSO_PS, **flags, "social": social}
            yield (f"{workers}; social {social}, guide best", base, None)
            yield (f"{workers}; social {social}, guide random", {**base, "guide": "random"}, base)
            if "shard" in flags:
                yield (f"{workers}; social {social}, fitness probe", {**base, "fitness": "probe"}, base)


def policies():
    for lr, inertia in ((0.0125, 0.7), (0.025, 0.3), (0.05, 0)):
        base = {**PSO_PS, "momentum": 0.9, "lr": lr, "inertia": inertia}
        yield (f"momentum 0.9, lr {lr}, inertia {inertia}: keep", base, None)
        yield (f"momentum 0.9, lr {lr}, inertia {inertia}: reset", {**base, "momentum-at-sync": "reset"}, base)


STUDIES = {
    "pso-ps": varied(PSO_PS, {"velocity": "swarm", "inertia": 0}, {"memory": "historic", "cognitive": 0.1},
                     {"memory": "decay", "cognitive": 0.1}, {"random": "round", "social": 0.2},
                     {"random": "element", "social": 0.2},
                     final_average=(0, 3), inertia=(0, 0.3, 0.5, 0.8, 0.85, 0.9), social=(0.05, 0.2, 0.3, 0.6),
                     velocity=("swarm",), random=("round", "tensor", "element"), memory=("historic", "decay"),
                     fitness=("probe",)),
    "guide": list(guides()),
    "momentum": list(policies()),
    "informed": varied(INFORMED, {"social": 2, "random": "round"}, {"social": 0.7, "beta": 4},
                       {"inertia": "0.8:0", "final-average": 0}, {"inertia": "0.9:0", "final-average": 0},
                       beta=(1, 4, 16), social=(0.1, 0.4, 0.7), random=("round", "element"),
                       inertia=(0, 0.3, 0.5, 0.8, 0.9), final_average=(0,), fitness=("probe",)),
    "pso-ps-64": varied({**PSO_PS, "period": 64, "lr": 0.2, "inertia": 0.5}, {"inertia": 0.3, "social": 0.3},
                        inertia=(0.3, 0.7), social=(0.2, 0.3, 0.5, 0.8), final_average=(0, 3)),
    "pso-ps-4": varied({**PSO_PS, "period": 4, "inertia": 0.8}, inertia=(0.7, 0.9), social=(0.03, 0.2, 0.3)),
    "informed-64": varied({**INFORMED, "period": 64, "lr": 0.2, "inertia": 0.5},
                          inertia=(0.3, 0.7), social=(0.4, 0.7)),
    "informed-4": varied({**INFORMED, "period": 4, "inertia": 0.8}, inertia=(0.7, 0.9)),
}


EXPERIMENT = Experiment(ROOT / "docs/results/family/studies.jsonl", COMMON, os.environ.get("SWARMSYNC", TOOL))


def run(names):
    for name in names:
        for _, flags, _ in STUDIES[name]:
            EXPERIMENT.values(flags, SEEDS, "validation_accuracy")


def percents(flags):
    """The validation accuracies by seed; None when one has not been made. What diverged counts 0."""
    found = [EXPERIMENT.find({**flags, "seed": seed}) for seed in SEEDS]
    return None if None in found else [100 * result.get("validation_accuracy", 0) for result in found]


def table(names):
    for name in names:
        print(f"\n| {name} | validation accuracy, %, mean of three seeds | its seeds |"
              " difference, seed by seed, ± 95 % |")
        print("| --- | --- | --- | --- |")
        for label, flags, base in STUDIES[name]:
            numbers, others = percents(flags), base and percents(base)
            if numbers is None:
                continue
            difference = ""
            if others:
                pairs = [here - there for here, there in zip(numbers, others)]
                difference = f"{statistics.mean(pairs):+.2f} ± {interval(pairs):.2f}"
            each = ", ".join(f"{number:.2f}" if number else "diverged" for number in numbers)
            print(f"| {label} | {statistics.mean(numbers):.2f} | {each} | {difference} |")


if __name__ == "__main__":
    commands = {"run": run, "table": table}
    if len(sys.argv) < 2 or sys.argv[1] not in commands or not set(sys.argv[2:]) <= set(STUDIES):
        sys.exit(f"{__doc__}\nThe studies: {', '.join(STUDIES)}")
    commands[sys.argv[1]](sys.argv[2:] or list(STUDIES))
