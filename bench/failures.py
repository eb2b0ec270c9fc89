#!/usr/bin/python3
"""Accuracy and time of a training whose workers are killed again and again, beside one that is left alone.

    bench/failures.py [--epochs E] [--every SECONDS] [--seeds 1,2,3] [--workers W] [--sync NAME]

The main job (MNIST, LeNet-5) with local processes. Every so many seconds a worker, drawn at random, gets SIGKILL; the
supervisor starts it again and it joins. Prints a Markdown table: test accuracies, losses of workers, wall seconds, and
what a loss cost: the difference of the wall times, divided by the losses. Python's standard library only.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from experiment import TOOL, interval


def worker_pids(out):
    try:
        return [worker["pid"] for worker in json.loads((out / "workers.json").read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return []


def train(arguments, seed, every):
    """The summary of one training. every: seconds between two kills; 0: none."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        process = subprocess.Popen(
            [TOOL, "train", f"--sync={arguments.sync}", f"--epochs={arguments.epochs}", f"--workers={arguments.workers}",
             f"--seed={seed}", "--max-restarts=1000", "--quiet", f"--out={out}"])
        draws = random.Random(seed)
        next_kill = time.monotonic() + every
        while process.poll() is None:
            time.sleep(0.02)
            pids = worker_pids(out)
            if every > 0 and time.monotonic() > next_kill and len(pids) == arguments.workers:
                try:
                    os.kill(draws.choice(pids), signal.SIGKILL)
                except ProcessLookupError:
                    continue
                next_kill += every
        if process.returncode != 0:
            sys.exit(f"the training ended with exit code {process.returncode}")
        return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--every", type=float, default=20)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--sync", default="pso-ps")
    arguments = parser.parse_args()
    print("| seed | left alone | killed | above | losses | seconds alone | seconds killed | a loss cost, seconds |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    above = []
    for seed in map(int, arguments.seeds.split(",")):
        alone, killed = train(arguments, seed, 0), train(arguments, seed, arguments.every)
        losses = sum(1 for event in killed["membership_events"] if "joins" not in event["reason"])
        above.append(100 * (killed["test_accuracy"] - alone["test_accuracy"]))
        cost = (killed["wall_seconds"] - alone["wall_seconds"]) / max(1, losses)
        print(f"| {seed} | {100 * alone['test_accuracy']:.2f} | {100 * killed['test_accuracy']:.2f} | {above[-1]:+.2f} | "
              f"{losses} | {alone['wall_seconds']:.1f} | {killed['wall_seconds']:.1f} | {cost:.1f} |", flush=True)
    if len(above) > 1:
        print(f"\nThe difference in points: {statistics.mean(above):+.2f} ± {interval(above):.2f}")


if __name__ == "__main__":
    main()
