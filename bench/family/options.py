#!/usr/bin/python3
"""What each rule's main option is worth: the best held-out accuracy of its values, over the learning rates.

    bench/family/options.py docs/results/family/{fashion-mnist,mnist}

prints a Markdown table of the tuning runs of a comparison made by core.toml: a row for each rule, momentum and value,
a column for each data set and period; from the first tuning seed, with which the whole grid was tried, in %.
Python's standard library only.
"""

import json
import pathlib
import sys

MAIN = {"informed-pso-ps": "inertia", "pso-ps": "inertia", "slowmo": "slow-beta", "diloco": "outer-momentum",
        "easgd": "elastic-alpha", "leader": "social"}


def best_by_value(directories):
    best = {}
    for directory in directories:
        for line in (pathlib.Path(directory) / "runs.jsonl").read_text().splitlines():
            run = json.loads(line)
            flags, accuracy = run["flags"], run.get("result", {}).get("validation_accuracy", 0)
            option = MAIN.get(flags["sync"])
            published = flags.get("final-average") == ("8" if option == "inertia" else None)
            if run["stage"] != "tune" or flags["seed"] != "101" or option not in flags or not published:
                continue
            row = flags["sync"], float(flags["momentum"]), option, float(flags[option])
            column = flags["dataset"], int(flags["period"])
            best.setdefault(row, {})
            best[row][column] = max(best[row].get(column, 0), 100 * accuracy)
    return best


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    best = best_by_value(sys.argv[1:])
    columns = sorted({column for cells in best.values() for column in cells})
    print("# The main options\n")
    print("| synchronizer | momentum | main option | " + " | ".join(f"{d}, period {p}" for d, p in columns) + " |")
    print("| --- | ---: | --- |" + " ---: |" * len(columns))
    order = list(MAIN)
    for row in sorted(best, key=lambda row: (order.index(row[0]), *row[1:])):
        cells = " | ".join(f"{best[row][c]:.2f}" if c in best[row] else "" for c in columns)
        print(f"| {row[0]} | {row[1]:g} | {row[2]} {row[3]:g} | {cells} |")


if __name__ == "__main__":
    main()
