#!/usr/bin/env python3
"""Samples per second of N workers on one GPU: swarmsync, with and without CUDA graphs, against N PyTorch processes.

    python3 bench/run_gpu.py --data DIR [--tool swarmsync] [--models resnet20,resnet18] [--workers 1,4,8]
                             [--amp none,bf16] [--batch-size 32] [--steps 400] [--repetitions R] [--out RESULTS.jsonl]

DIR holds CIFAR-10's binary files. swarmsync loads and augments images and exchanges every 16 steps (`average`); its
evaluations do not count; the peers (bench/peers/train_gpu.py) have their images on the GPU and exchange
nothing. The programs take turns. Prints a Markdown table of the medians; every measurement goes to RESULTS, and those
that it has already are not made again.
"""

import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

PEER = pathlib.Path(__file__).resolve().parent / "peers" / "train_gpu.py"
PROGRAMS = ["swarmsync", "swarmsync without graphs", "PyTorch processes"]


def measure(program, case, arguments):
    model, workers, amp = case
    if program == PROGRAMS[2]:
        command = [sys.executable, PEER, "--model", model, "--workers", workers, "--amp", amp,
                   "--batch-size", arguments.batch_size, "--steps", arguments.steps]
        output = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True).stdout
        return json.loads(output)["samples_per_second"]
    with tempfile.TemporaryDirectory() as directory:
        command = [arguments.tool, "train", "--quiet", "--dataset", f"cifar:{arguments.data}", "--augment", "standard",
                   "--model", model, "--workers", workers, "--backend", "threads", "--device", "cuda", "--amp", amp,
                   "--batch-size", arguments.batch_size, "--steps", arguments.steps, "--sync", "average", "--lr", 0.02,
                   "--momentum", 0.9, "--weight-decay", 5e-4, "--threads-per-worker", 1, "--out", f"{directory}/run",
                   "--cuda-graph", "on" if program == PROGRAMS[0] else "off"]
        subprocess.run([str(part) for part in command], check=True)
        summary = json.loads(pathlib.Path(directory, "run", "summary.json").read_text())
        return summary["samples_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--tool", default="swarmsync")
    parser.add_argument("--models", default="resnet20,resnet18")
    parser.add_argument("--workers", default="1,4,8")
    parser.add_argument("--amp", default="none,bf16")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("gpu.jsonl"))
    arguments = parser.parse_args()

    found = {}
    if arguments.out.exists():
        for line in arguments.out.read_text().splitlines():
            record = json.loads(line)
            found[tuple(record["key"])] = record["samples_per_second"]
    cases = list(itertools.product(arguments.models.split(","), map(int, arguments.workers.split(",")),
                                   arguments.amp.split(",")))
    for repetition in range(arguments.repetitions):
        for case in cases:
            for program in PROGRAMS:
                key = (program, *case, arguments.batch_size, arguments.steps, repetition)
                if key in found:
                    continue
                found[key] = measure(program, case, arguments)
                with arguments.out.open("a") as file:
                    file.write(json.dumps({"key": key, "samples_per_second": found[key]}) + "\n")

    print(f"| network | workers | amp | {' | '.join(PROGRAMS)} | swarmsync / PyTorch |\n| --- | ---: | --- |"
          + " ---: |" * (len(PROGRAMS) + 1))
    for case in cases:
        medians = [statistics.median(found[(program, *case, arguments.batch_size, arguments.steps, repetition)]
                                     for repetition in range(arguments.repetitions)) for program in PROGRAMS]
        cells = [f"{median:,.0f}" for median in medians] + [f"{medians[0] / medians[2]:.2f}"]
        print(f"| {' | '.join(map(str, case))} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
