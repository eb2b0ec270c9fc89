#!/usr/bin/python3
"""How an exchange grows with workers and parameters, and what a model of it says of larger worlds.

    bench/scaling.py run       measures, on this host
    bench/scaling.py table     prints what is known, the fit and the predictions as Markdown

Every measurement is a line of docs/results/speed/scaling.jsonl and is never repeated, so it can be stopped and started
again. Python's standard library only.
"""

import itertools
import json
import math
import os
import subprocess
import sys

from experiment import ROOT, TOOL

RECORDS = ROOT / "docs/results/speed/scaling.jsonl"
SYNCS = ("pso-ps", "average")
TITLES = {"processes": "processes through Gloo", "shared memory": "processes through shared memory", "threads": "threads"}
GRID = [("processes", workers, parameters) for workers in (1, 2, 4, 8, 16) for parameters in (10**4, 10**5, 10**6, 10**7)]
GRID += [("shared memory", workers, parameters) for workers in (2, 4, 8, 16) for parameters in (10**4, 10**5, 10**6, 10**7)]
GRID += [("shared memory", 4, 10**8)]
GRID += [("threads", workers, parameters) for workers in (1, 2, 4, 16, 64) for parameters in (10**4, 10**6)]
GRID += [("processes", 1, 10**8), ("processes", 4, 10**8)]

# Predictions. One worker's own work: its passes over memory, in floats for each parameter, at this bandwidth.
PASSES = {"pso-ps": 8, "average": 6}
MEMORY = 20e9  # bytes a second for one worker
MESSAGE = 10e-6  # a message's cost for whoever sends it
LATENCY = 50e-6  # from one host to another
PIECE, LEAST_PIECE = 4 << 20, 256 << 10
ON_A_HOST = 8  # workers that share its link, in the second table


def records():
    lines = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    return {tuple(record["key"]): record["milliseconds"] for record in map(json.loads, lines)}


def run():
    known = records()
    RECORDS.parent.mkdir(parents=True, exist_ok=True)
    for backend, workers, parameters in GRID:
        for sync in SYNCS:
            key = (sync, backend, workers, parameters)
            if key in known:
                continue
            repetitions = 50 if parameters <= 10**6 else 10 if parameters <= 10**7 else 3
            command = [TOOL, "bench", "exchange", f"--sync={sync}", f"--workers={workers}",
                       f"--backend={'threads' if backend == 'threads' else 'processes'}",
                       f"--parameters={parameters}", f"--repetitions={repetitions}", "--final-average=0"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True,
                                  env={**os.environ, "SWARMSYNC_SHM_DISABLE": str(int(backend == "processes"))})
            record = {"key": key, "milliseconds": json.loads(done.stdout)["milliseconds"]}
            with RECORDS.open("a") as file:
                file.write(json.dumps(record) + "\n")
            print(json.dumps(record), flush=True)


def show_measured(known):
    for backend in ("processes", "shared memory", "threads"):
        columns = sorted({key[3] for key in known if key[1] == backend})
        print(f"\n{TITLES[backend]}, medians in ms\n\n| synchronizer | workers | " + " | ".join(f"{n:.0e}" for n in columns) + " |")
        print("| --- | ---: |" + " ---: |" * len(columns))
        for sync in SYNCS:
            for workers in sorted({key[2] for key in known if key[1] == backend}):
                cells = [known.get((sync, backend, workers, n), {}).get("median") for n in columns]
                print(f"| {sync} | {workers} | " + " | ".join("" if c is None else f"{c:.2f}" for c in cells) + " |")


def show_fit(known):
    """t = a workers^2 + b workers parameters: the workers of one host share its cores and its memory."""
    print("\n| through | synchronizer | a, us for each pair of workers | b, ns for each parameter and worker | errors of the fit |")
    print("| --- | --- | ---: | ---: | ---: |")
    for backend, sync in itertools.product(("processes", "shared memory"), SYNCS):
        points = [(key[2]**2, key[2] * key[3], value["median"]) for key, value in known.items()
                  if key[0] == sync and key[1] == backend and key[2] > 1]
        # Least squares of relative errors, so that small exchanges have a say.
        xx, xy, yy, x1, y1 = (sum(terms) for terms in zip(*(
            ((x / t)**2, x * y / t**2, (y / t)**2, x / t, y / t) for x, y, t in points)))
        a, b = ((x1 * yy - y1 * xy) / (xx * yy - xy**2), (y1 * xx - x1 * xy) / (xx * yy - xy**2))
        errors = sorted(abs(a * x + b * y - t) / t for x, y, t in points)
        print(f"| {'Gloo' if backend == 'processes' else backend} | {sync} | {1e3 * a:.0f} | {1e6 * b:.2f} | median {100 * errors[len(errors) // 2]:.0f} %, "
              f"largest {100 * errors[-1]:.0f} % |")


def predicted(sync, workers, parameters, gigabits):
    """Seconds of an exchange between hosts with a worker each."""
    size, rate = 4 * parameters, gigabits * 1e9 / 8
    work = PASSES[sync] * size / MEMORY
    if sync == "average":
        return work + 2 * (LATENCY + (workers - 1) * (MESSAGE + size / workers / rate))
    gather = LATENCY + (workers - 1) * MESSAGE
    pieces = math.ceil(size / min(PIECE, max(LEAST_PIECE, size // (4 * workers))))
    if pieces > 1 and pieces >= workers - 1:
        return work + gather + (workers - 1) * (LATENCY + MESSAGE) + (pieces + workers - 2) * size / pieces / rate
    return work + gather + math.ceil(math.log2(workers)) * (LATENCY + MESSAGE + size / rate)


def show_predictions():
    print("\n| workers | parameters | Gbit/s | all-reduce, every step | average | pso-ps | steps of 100 ms in a round for 5 % "
          "in average's exchange |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for workers in (64, 1024, 10000):
        for parameters in (10**7, 10**9):
            for gigabits in (1, 10, 100):
                ring = 2 * (workers - 1) * (LATENCY + MESSAGE + 4 * parameters / workers / (gigabits * 1e9 / 8))
                times = {sync: predicted(sync, workers, parameters, gigabits) for sync in SYNCS}
                period = math.ceil(times["average"] / (0.1 * 0.05))
                print(f"| {workers:,} | {parameters:.0e} | {gigabits} | {ring:.3g} s | {times['average']:.3g} s | "
                      f"{times['pso-ps']:.3g} s | {period} |")


def of_hosts(workers, parameters, gigabits, grouped):
    """Seconds of an exchange of average where hosts of several workers have one link each."""
    size, rate = 4 * parameters, gigabits * 1e9 / 8
    work = PASSES["average"] * size / MEMORY
    if not grouped:
        sent = ON_A_HOST * (workers - ON_A_HOST) / workers * size  # by a host, in each of two ways
        return work + 2 * (LATENCY + (workers - 1) * MESSAGE + sent / rate)
    hosts = workers // ON_A_HOST
    # Within the host an average before and a broadcast after.
    return 3 * work + 2 * (LATENCY + (hosts - 1) * (MESSAGE + size / hosts / rate))


def show_hosts():
    print(f"\n| workers, {ON_A_HOST} on a host | parameters | Gbit/s of a host | average | with groups |\n"
          "| ---: | ---: | ---: | ---: | ---: |")
    for workers in (64, 1024, 10000):
        for parameters in (10**7, 10**9):
            for gigabits in (1, 10, 100):
                straight, grouped = (of_hosts(workers, parameters, gigabits, way) for way in (False, True))
                print(f"| {workers:,} | {parameters:.0e} | {gigabits} | {straight:.3g} s | {grouped:.3g} s |")


def table():
    known = records()
    show_measured(known)
    show_fit(known)
    show_predictions()
    show_hosts()


def main():
    commands = {"run": run, "table": table}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(__doc__)
    commands[sys.argv[1]]()


if __name__ == "__main__":
    main()
