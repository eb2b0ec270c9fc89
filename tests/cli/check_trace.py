#!/usr/bin/python3
"""Looks whether the trace of a run is one, and says the same as its summary.

    check_trace.py DIRECTORY    prints what is wrong; ends with 1 if anything is

Each worker has a lane; spans of a lane lie beside or within each other; a worker's time in each kind of span, the mean
over the workers, is what summary.json says; rounds and exchanges are numbered without a gap.
"""

import collections
import json
import pathlib
import sys

TOLERANCE = 0.03  # of the seconds that the summary has, and what is too short to be in the trace:
SHORTEST = 1e-5  # seconds


def problems(directory):
    trace = json.loads((directory / "trace.json").read_text(encoding="utf-8"))
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    records = [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    records = [record for record in records if record["event"] == "exchange"]
    workers = summary["workers"]
    lanes, names, exchanges = collections.defaultdict(list), {}, collections.defaultdict(dict)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            lanes[event["pid"], event["tid"]].append(event)
        elif event["name"] == "process_name":
            names[event["pid"]] = event["args"]["name"]
    if names != {rank: f"worker {rank}" for rank in range(workers)}:
        yield f"the lanes are {names}"
    if {pid for pid, tid in lanes if tid == 0} != set(range(workers)):
        yield "a worker has no spans"

    seconds = collections.Counter()
    for (pid, tid), events in lanes.items():
        # The clock's microseconds have three digits, so neighbours may seem to overlap by a thousandth of one.
        events.sort(key=lambda event: (event["ts"], -event["dur"]))
        open_spans = []
        for event in events:
            begin, end = event["ts"], event["ts"] + event["dur"]
            while open_spans and open_spans[-1]["ts"] + open_spans[-1]["dur"] <= begin + 0.01:
                open_spans.pop()
            if open_spans and end > open_spans[-1]["ts"] + open_spans[-1]["dur"] + 0.01:
                yield f"{event} and {open_spans[-1]} overlap"
            if tid == 0:
                kind = event["name"].split()[0]
                if kind == "wait" and open_spans and open_spans[-1]["name"] == "exchange":
                    seconds["wait in exchanges"] += event["dur"] / 1e6
                seconds[kind] += event["dur"] / 1e6
            open_spans.append(event)
        numbers = [int(event["name"].split()[1]) for event in events
                   if event["name"].split()[0] == ("round" if tid == 0 else "exchange") and " " in event["name"]]
        if numbers != ([record["round"] for record in records] if tid else list(range(1, summary["rounds"] + 1))):
            yield f"worker {pid} has the {'exchanges' if tid else 'rounds'} {numbers}"
        if tid == 1:
            exchanges[pid] = {event["args"]["round"]: event["args"] for event in events}

    told = {"data": seconds["data"], "compute": seconds["compute"], "wait": seconds["wait"],
            "sync": seconds["exchange"] - seconds["wait in exchanges"] + seconds["checks"],
            "evaluate": seconds["evaluate"], "setup": seconds["setup"]}
    for account, total in told.items():
        expected, mean = summary[f"{account}_seconds"], total / workers
        if abs(mean - expected) > TOLERANCE * expected + 2 * SHORTEST * summary["steps"] + 1e-3:
            yield f"the trace has {mean:.4f} s of {account}, the summary {expected:.4f}"

    for record in records:
        for rank in range(workers):
            arguments = exchanges[rank][record["round"]]
            fitness = record["fitness"][rank] if record["fitness"] else None
            if arguments["step"] != record["step"]:
                yield f"exchange {record['round']} of worker {rank} is of step {arguments['step']}"
            if fitness is not None and abs(arguments["fitness"] - fitness) > 1e-6 * abs(fitness):
                yield f"exchange {record['round']} of worker {rank} has the fitness {arguments['fitness']}"


def main():
    found = list(problems(pathlib.Path(sys.argv[1])))
    for problem in found[:10]:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
