#!/usr/bin/python3
"""What an exchange takes: swarmsync against PyTorch's PeriodicModelAverager, 4 processes on this host.

    bench/run_exchange.py [--rounds R] [--workers W] [--parameters N,N,…] [--json FILE]

All take turns, R times; each turn is the median of its own repetitions. Prints a Markdown table for each size: the
median of the turns, their least and most, and the median over the turns of the ratio to the averager of the same turn.
Needs Debian's python3-torch. Run it on an idle machine.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from experiment import ROOT, TOOL

PEER = "periodic_model_averager"
OURS = {
    "pso-ps": [],
    "pso-ps, no average over the rounds": ["--sync=pso-ps", "--final-average=0"],
    "informed-pso-ps": [],
    "informed-pso-ps, no average over the rounds": ["--sync=informed-pso-ps", "--final-average=0"],
    "average": [],
    "ssgd (gradients)": ["--sync=ssgd"],
    "pso-ps, int8": ["--sync=pso-ps", "--wire=int8"],
    "average, int8": ["--sync=average", "--wire=int8"],
}


def output_of(command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def turn(parameters, workers, repetitions):
    """The milliseconds of everybody, by name."""
    common = [f"--parameters={parameters}", f"--workers={workers}", f"--repetitions={repetitions}"]
    times = output_of(["/usr/bin/python3", ROOT / "bench/peers/exchange.py", *common])["milliseconds"]
    for name, flags in OURS.items():
        flags = flags or [f"--sync={name}"]
        times[name] = output_of([TOOL, "bench", "exchange", *flags, *common])["milliseconds"]["median"]
    return times


def main():
    parser = argparse.ArgumentParser(description="What an exchange takes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--parameters", default="61706,11173962")
    parser.add_argument("--json", type=pathlib.Path, help="file that gets every turn")
    arguments = parser.parse_args()
    records = []
    for parameters in map(int, arguments.parameters.split(",")):
        repetitions = 20 if parameters > 1_000_000 else 100
        turns = [turn(parameters, arguments.workers, repetitions) for _ in range(arguments.rounds)]
        records.append({"parameters": parameters, "workers": arguments.workers, "turns": turns})
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(records, indent=1) + "\n")
        print(f"\n{parameters:,} parameters, {arguments.workers} workers\n")
        print("| | ms | least to most | to PeriodicModelAverager |\n| --- | ---: | ---: | ---: |")
        for name in turns[0]:
            times = [one[name] for one in turns]
            ratio = statistics.median(one[name] / one[PEER] for one in turns)
            print(f"| {name} | {statistics.median(times):.2f} | {min(times):.2f} to {max(times):.2f} | {ratio:.2f} |",
                  flush=True)


if __name__ == "__main__":
    main()
