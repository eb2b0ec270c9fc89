#!/usr/bin/env python3
"""Samples per second of one worker on one thread: swarmsync against two PyTorch loops.

    python3 bench/run_train.py --data DIR [--model lenet5|resnet20] [--steps N] [--repetitions R] [--json FILE]

LeNet-5 on MNIST (DIR holds the four raw IDX files) with batches of 64, or ResNet-20 on CIFAR-10 (DIR holds the binary
files) with batches of 32; plain SGD. PyTorch's DataLoader is a peer on MNIST only. The programs take turns within one
run, and each repetition starts with another of them, so that a change of the machine's speed meets all of them. Prints
a Markdown table: every repetition, the medians, and how many times faster swarmsync is (ratio of the medians, and
median of the repetitions' own ratios). Nobody gets a warm-up; enough steps make up for it. Run it on an idle machine.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).resolve().parent
OURS = "swarmsync"
PEERS = {"pytorch-in-memory": "train_in_memory.py", "pytorch-dataloader": "train_dataloader.py"}
BATCH_SIZE = {"lenet5": 64, "resnet20": 32}


class RunError(Exception):
    """A program failed, or its result cannot be used."""


def command_output(command, env=None):
    command = [str(part) for part in command]
    try:
        result = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise RunError(f"cannot start {command[0]}: {error.strerror}") from error
    if result.returncode != 0:
        raise RunError(f"exit status {result.returncode} of {' '.join(command)}")
    return result.stdout


def run_ours(arguments):
    """Runs the tool once; returns the content of its summary.json."""
    kind = "idx" if arguments.model == "lenet5" else "cifar"
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        command_output([
            arguments.tool, "train", "--dataset", f"{kind}:{arguments.data}",
            "--model", arguments.model, "--sync", "average", "--workers", "1",
            "--threads-per-worker", "1", "--batch-size", BATCH_SIZE[arguments.model], "--lr", "0.1",
            "--steps", arguments.steps, "--period", "16", "--progress", "none", "--out", out])
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    if summary["steps"] != arguments.steps:
        raise RunError(f"{OURS} took {summary['steps']} steps, not {arguments.steps}")
    return summary


def run_peer(name, arguments):
    """Runs a peer once; returns the JSON line it prints."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return json.loads(command_output(
        [arguments.python, BENCH / "peers" / PEERS[name], "--data", arguments.data,
         "--model", arguments.model, "--batch-size", BATCH_SIZE[arguments.model],
         "--steps", arguments.steps, "--warmup", "0", "--threads", "1"], env))


def names_of(arguments):
    return [OURS, *PEERS] if arguments.model == "lenet5" else [OURS, "pytorch-in-memory"]


def measure(arguments):
    """The samples per second of every repetition, and the versions that were run."""
    names = names_of(arguments)
    figures, versions = {name: [] for name in names}, {}
    for repetition in range(arguments.repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            result = run_ours(arguments) if name == OURS else run_peer(name, arguments)
            versions[name] = result.get("versions") if name == OURS else result["torch"]
            figures[name].append(result["samples_per_second"])
            print(f"repetition {repetition + 1}: {name} {figures[name][-1]:,.0f}", file=sys.stderr)
    return figures, versions


def summarize(figures):
    """Medians, and ours over each peer in the two ways."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    peers = [name for name in figures if name != OURS]
    return {
        "medians": medians,
        "ratio_of_medians": {peer: medians[OURS] / medians[peer] for peer in peers},
        "median_of_ratios": {
            peer: statistics.median(ours / theirs
                                    for ours, theirs in zip(figures[OURS], figures[peer]))
            for peer in peers},
    }


def markdown(figures, summary):
    names = list(figures)

    def row(head, cells):
        return f"| {head} | {' | '.join(cells)} |"

    def ratio_row(head, ratios):
        return row(head, ["", *(f"{ratios[peer]:.3f}" for peer in names[1:])])

    repetitions = zip(*(figures[name] for name in names))
    return "\n".join([
        row("samples per second", names),
        row("---", ["---:"] * len(names)),
        *(row(f"repetition {number}", (f"{value:,.0f}" for value in values))
          for number, values in enumerate(repetitions, 1)),
        row("median", (f"{summary['medians'][name]:,.0f}" for name in names)),
        ratio_row("swarmsync / peer, of the medians", summary["ratio_of_medians"]),
        ratio_row("swarmsync / peer, median of the repetitions", summary["median_of_ratios"]),
    ])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the data set's files")
    parser.add_argument("--model", choices=sorted(BATCH_SIZE), default="lenet5")
    parser.add_argument("--tool", type=pathlib.Path, help="default: the release build's swarmsync",
                        default=BENCH.parent / "build" / "release" / "swarmsync")
    parser.add_argument("--python", default=sys.executable, help="the peers' (it needs PyTorch)")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.repetitions < 1:
        parser.error("--steps and --repetitions must be 1 or more")
    return arguments


def main():
    arguments = parse_arguments()
    try:
        figures, versions = measure(arguments)
    except (RunError, OSError, KeyError, json.JSONDecodeError) as error:
        print(f"run_train.py: {error!r}", file=sys.stderr)
        return 1
    summary = summarize(figures)
    print(markdown(figures, summary))
    if arguments.json:
        report = {"steps": arguments.steps, "model": arguments.model, "batch_size": BATCH_SIZE[arguments.model], "repetitions": arguments.repetitions,
                  "versions": versions, "samples_per_second": figures, **summary}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
