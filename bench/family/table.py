#!/usr/bin/python3
"""Puts the summaries of comparisons side by side: a row for each synchronizer, a column for each data set and period.

    bench/family/table.py docs/results/family/{fashion-mnist,mnist}/summary.csv

prints two tables as Markdown: test accuracy, and by how much each is above the baseline, seed by seed; mean ± 95 %. A
column has the name of the comparison's directory.
Python's standard library only.
"""

import csv
import pathlib
import sys


def percents(mean, half, none, sign=""):
    if not mean:
        return none
    return f"{100 * float(mean):{sign}.2f}" + (f" ± {100 * float(half):.2f}" if half else "")


def show(lines, columns, cell):
    names = [f"{comparison}, {f'period {period}' if period != '1' else 'every step'}" for comparison, period in columns]
    print("\n| synchronizer | " + " | ".join(names) + " |")
    print("| --- |" + " ---: |" * len(columns))
    by_sync = {}
    for line in lines:
        by_sync.setdefault(line["sync"], {})[line["comparison"], line["period"]] = line
    # The best first, by the mean over what it has.
    mean = lambda cells: sum(float(line["test_accuracy"] or 0) for line in cells.values()) / len(cells)
    for sync, cells in sorted(by_sync.items(), key=lambda item: -mean(item[1])):
        print(f"| {sync} | " + " | ".join(cell(cells[c]) if c in cells else "" for c in columns) + " |")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    lines = []
    for path in sys.argv[1:]:
        with open(path, newline="") as file:
            lines += [{**line, "comparison": pathlib.Path(path).resolve().parent.name} for line in csv.DictReader(file)]
    columns = sorted({(line["comparison"], line["period"]) for line in lines}, key=lambda c: (c[0], int(c[1])))
    show(lines, columns, lambda line: percents(line["test_accuracy"], line["half_width_95"], "failed"))
    show(lines, columns, lambda line: percents(line["above_baseline"], line["above_baseline_half_width_95"], "", "+"))


if __name__ == "__main__":
    main()
