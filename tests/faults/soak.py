#!/usr/bin/python3
"""Trains again and again while things go wrong on purpose, and looks whether the promises hold.

    tests/faults/soak.py [--minutes M | --runs N] [--seed S] [--syncs NAME,NAME,…] [--tool TOOL] [--keep DIRECTORY]

Each run has a seed, from which its synchronizer, its workers, its options and its faults follow: workers that are killed,
frozen or slow, connections that are closed, bits that are wrong, files that cannot be written (SWARMSYNC_FAULTS,
docs/reliability.md). After each run it checks that it ended in time, with the exit code and the one line that belong to
its faults; that no step was lost that may not be, no process and no strange file is left; and that the workers agreed
(--check-replicas 1). Prints a line for each run, and what there was of faults and pauses. Ends with 1 where a promise was
broken, and says how to make each such run again. Python's standard library only.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYNCS = ["ssgd", "average", "pso-ps", "informed-pso-ps", "easgd", "slowmo", "diloco", "leader"]
TIMEOUT, PERIOD, STEPS, LOG_EVERY = 6, 8, 4000, 20
MACHINE = 20  # seconds by which a busy machine may be late
# What a wrong bit may end a run with, by exit code.
CORRUPT = [(1, "differ|diverged|not finite"), (4, "does not have rank 0's initial weights")]
KNOWN_FILES = {"config.json", "workers.json", "metrics.jsonl", "summary.json", "model.safetensors", "report.html",
               "logs", "checkpoint"}

Run = collections.namedtuple("Run", "seed sync workers threads flags faults")
Fault = collections.namedtuple("Fault", "worker kind amount at")


def draw(seed, syncs):
    """The run of a seed."""
    draws = random.Random(seed)
    sync = draws.choice(syncs)
    workers = draws.randint(2, 4)
    threads = draws.random() < 0.15  # they live and die together
    flags = draws.choice([[], [], ["--wire=bf16"], ["--wire=int8"]])
    if draws.random() < 0.3 and sync != "ssgd":
        flags = flags + ["--overlap=2"]
    if draws.random() < 0.5:
        flags = flags + [f"--checkpoint-every={draws.randint(5, 60)}"]
    faults, victims = [], draws.sample(range(workers), workers - 1)  # one at least is left
    for _ in range(draws.randint(1, 4)):
        kinds = ["slow", "corrupt", "refuse"] if threads else ["kill", "kill", "stop", "drop", "slow", "corrupt", "refuse"]
        kind = draws.choice(kinds)
        worker = draws.randrange(workers)
        if kind in ("kill", "stop"):
            if not victims:
                continue
            worker = victims.pop()
        if kind == "refuse" and threads:
            worker = 0
        amount = {"slow": round(draws.uniform(0.1, 3), 1), "refuse": draws.randint(1, 3)}.get(kind)
        faults.append(Fault(worker, kind, amount, draws.randint(1, 6) if kind == "refuse" else draws.randint(1, 900)))
    return Run(seed, sync, workers, threads, flags, faults)


def spell(faults):
    return ",".join(f"{f.worker}:{f.kind}{'' if f.amount is None else f'={f.amount}'}@{f.at}" for f in faults)


def write_data(folder):
    """An IDX data set of small images whose classes are easy to tell apart."""
    draws = random.Random(0)
    patterns = [[draws.randrange(256) for _ in range(64)] for _ in range(10)]
    for name, count in (("train", 400), ("t10k", 100)):
        labels = [i % 10 for i in range(count)]
        pixels = b"".join(bytes(min(255, max(0, p + draws.randint(-40, 40))) for p in patterns[label])
                          for label in labels)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, 8, 8) + pixels)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + bytes(labels))


class Pauses:
    """The longest time in which nothing was recorded, since the first record."""

    def __init__(self, path):
        self.path, self.size, self.since, self.longest = path, 0, None, 0.0

    def look(self):
        try:
            size = self.path.stat().st_size
        except OSError:
            return
        now = time.monotonic()
        if size != self.size:
            if self.since is not None:
                self.longest = max(self.longest, now - self.since)
            self.size, self.since = size, now


def processes_with(text):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if text in (process / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(process.name))
        except OSError:
            pass
    return found


def train(run, tool, folder):
    """What came of the run: exit code (None: it did not end), its lines on standard error, seconds, longest pause."""
    out, temporary, errors = folder / "run", folder / "tmp", folder / "errors"
    for directory in (folder / "data", temporary):
        directory.mkdir()
    write_data(folder / "data")
    command = [tool, "train", f"--dataset=idx:{folder / 'data'}", "--model=mlp", "--batch-size=10",
               f"--steps={STEPS}", f"--period={PERIOD}", f"--workers={run.workers}", f"--sync={run.sync}",
               f"--backend={'threads' if run.threads else 'processes'}", "--check-replicas=1", "--validation=20",
               f"--log-every={LOG_EVERY}", f"--timeout={TIMEOUT}", "--threads-per-worker=1", "--quiet",
               f"--seed={run.seed % 1000}", f"--out={out}", *run.flags]
    environment = {**os.environ, "SWARMSYNC_FAULTS": spell(run.faults), "TMPDIR": str(temporary)}
    begin = time.monotonic()
    deadline = begin + 10 * MACHINE + sum(2 * TIMEOUT + 2 + (f.amount or 0) for f in run.faults)
    pauses = Pauses(out / "metrics.jsonl")
    with open(errors, "wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=stream)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
            pauses.look()
    code = process.poll()
    if code is None:
        process.kill()
        process.wait()
    lines = [line for line in errors.read_text(encoding="utf-8").splitlines()
             if not re.match("swarmsync: (warning|fault): ", line)]
    return code, lines, time.monotonic() - begin, pauses.longest


def happened(run, folder):
    """The kinds of the faults that came to pass."""
    texts = [log.read_text(encoding="utf-8", errors="replace") for log in (folder / "run" / "logs").glob("*")]
    texts.append((folder / "errors").read_text(encoding="utf-8"))
    return collections.Counter(kind for text in texts for kind in re.findall(r"fault: worker \d+: (\w+) at", text))


def broken_records(folder, losses):
    records = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    last, memberships = 0, 0
    for record in records:
        if record["event"] == "loss":
            if record["step"] <= last:
                yield f"the loss of step {record['step']} came after that of step {last}"
            last = record["step"]
        if record["event"] == "membership":
            memberships += 1
            if record["step"] < last - PERIOD:
                yield f"generation {record['generation']} began at step {record['step']}, and step {last} was done"
            if not record["reason"]:
                yield f"generation {record['generation']} has no reason"
    if losses and not memberships:
        yield "workers were lost, and no record says so"
    summary = json.loads((folder / "run" / "summary.json").read_text(encoding="utf-8"))
    if summary["steps"] != STEPS:
        yield f"{summary['steps']} of {STEPS} steps"
    if len(summary["membership_events"]) != memberships:
        yield f"{len(summary['membership_events'])} of {memberships} changes of the membership are in the summary"


def broken_promises(run, folder, code, lines, pause):
    faults = happened(run, folder)
    losses = faults["kill"] + faults["stop"]
    if code is None:
        yield "it did not end in time"
        return
    reasons = [(1, "No space left")] * bool(faults["refuse"]) + CORRUPT * bool(faults["corrupt"])
    if code not in {0, *(allowed for allowed, _ in reasons)}:
        yield f"exit code {code}"
    if code == 0:
        if lines:
            yield "it said: " + " / ".join(lines)
        yield from broken_records(folder, losses)
        missing = {"summary.json", "model.safetensors", "report.html", "workers.json"} - set(os.listdir(folder / "run"))
        if missing:
            yield f"no {', '.join(missing)}"
        if not faults["corrupt"]:
            accuracy = json.loads((folder / "run" / "summary.json").read_text(encoding="utf-8"))["test_accuracy"]
            if not accuracy or accuracy < 0.5:
                yield f"test accuracy {accuracy}"
    else:
        if len(lines) != 1 or not lines[0].startswith("swarmsync: "):
            yield f"{len(lines)} lines: " + " / ".join(lines)
        elif not any(code == allowed and re.search(reason, lines[0]) for allowed, reason in reasons):
            yield "it ended for a reason that no fault has: " + lines[0]
    bound = MACHINE + faults["stop"] * (TIMEOUT + 2) + sum(f.amount for f in run.faults if f.kind == "slow")
    if pause > bound:
        yield f"a pause of {pause:.1f} s, and {bound:.1f} are the bound"
    strange = {name for name in os.listdir(folder / "run") if not name.startswith("events.out.tfevents.")} - KNOWN_FILES
    strange |= {str(path.name) for path in folder.glob("run/checkpoint/*/*.safetensors.*")}
    strange |= set(os.listdir(folder / "tmp"))
    if strange:
        yield f"strange files: {', '.join(sorted(strange))}"
    left = processes_with(str(folder))
    if left:
        yield f"processes are left: {left}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="how long to begin new runs (60)")
    parser.add_argument("--runs", type=int, help="how many, in place of --minutes")
    parser.add_argument("--seed", type=int, default=None, help="of the first run; drawn when left out")
    parser.add_argument("--syncs", default=",".join(SYNCS))
    parser.add_argument("--tool", default=str(ROOT / "build" / "release" / "swarmsync"))
    parser.add_argument("--keep", help="where what failed is kept")
    arguments = parser.parse_args()
    syncs = arguments.syncs.split(",")
    first = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    end = time.monotonic() + 60 * (arguments.minutes or 60)
    faults, codes, failed, runs, longest = collections.Counter(), collections.Counter(), [], 0, 0.0
    while runs < arguments.runs if arguments.runs else time.monotonic() < end:
        run = draw(first + runs, syncs)
        runs += 1
        with tempfile.TemporaryDirectory(prefix="soak-") as name:
            folder = pathlib.Path(name)
            code, lines, seconds, pause = train(run, arguments.tool, folder)
            broken = list(broken_promises(run, folder, code, lines, pause))
            faults += happened(run, folder)
            codes[code] += 1
            longest = max(longest, pause)
            print(f"seed {run.seed}: {run.sync}, {run.workers} {'threads' if run.threads else 'processes'} "
                  f"{' '.join(run.flags)} {spell(run.faults)}: exit code {code}, {seconds:.1f} s, "
                  f"longest pause {pause:.1f} s: {'; '.join(broken) or 'well'}", flush=True)
            if broken:
                failed.append(run.seed)
                if arguments.keep:
                    os.makedirs(arguments.keep, exist_ok=True)
                    subprocess.run(["cp", "-r", name, f"{arguments.keep}/seed-{run.seed}"], check=False)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
    ended = ", ".join(f"{count} with exit code {code}" for code, count in codes.items())
    print(f"{runs} runs, {runs - len(failed)} of them well ({ended}); {sum(faults.values())} faults ({told}); "
          f"longest pause {longest:.1f} s")
    for seed in failed:
        print(f"again: tests/faults/soak.py --runs 1 --seed {seed} --syncs {arguments.syncs}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
