#!/usr/bin/python3
"""Accuracy and time of a training whose workers are killed again and again, beside one that is left alone.

    bench/failures.py [--epochs E] [--every SECONDS] [--seeds 1,2,3] [--workers W] [--sync NAME] [--peer] [--data DIR]

The main job (MNIST, LeNet-5) with local processes. When all workers have trained for so many seconds, one of them,
drawn at random, gets SIGKILL; the supervisor starts it again, it joins, and the seconds count anew. With --peer the
same is done to PyTorch's DistributedDataParallel under torchrun, which starts all workers again from the last
checkpoint (bench/peers/train_ddp_elastic.py; needs Debian's python3-torch); the programs take turns. Prints a Markdown
table: test accuracies, kills, wall seconds of the commands, and what a loss cost: the difference of the wall times,
divided by the kills; then the same in seconds of processors, which other work on the machine changes less. Python's
standard library only.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from experiment import ROOT, TOOL, interval


def worker_pids(out):
    try:
        return [worker["pid"] for worker in json.loads((out / "workers.json").read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return []


def ours(arguments, seed, out):
    return [TOOL, "train", f"--sync={arguments.sync}", f"--epochs={arguments.epochs}", f"--workers={arguments.workers}",
            f"--seed={seed}", "--max-restarts=1000", "--quiet", "--overwrite", f"--out={out}"]


def theirs(arguments, seed, out):
    return ["/usr/bin/python3", "-m", "torch.distributed.run", "--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0",
            "--redirects=9:1", "--tee=9:1",  # none; the default of none fails with Python 3.11 and PyTorch 1.13
            f"--nproc_per_node={arguments.workers}", "--max_restarts=1000", f"--log_dir={out}/logs",
            f"--monitor_interval={arguments.monitor_interval}", ROOT / "bench/peers/train_ddp_elastic.py",
            f"--data={arguments.data}", f"--out={out}", f"--epochs={arguments.epochs}", f"--seed={seed}",
            f"--checkpoint-every={arguments.checkpoint_every}"]


def processor_seconds():
    """Of all children that have ended, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def train(program, arguments, seed, every):
    """Of one training: test accuracy, wall and processor seconds, kills. every: seconds before a kill; 0: none."""
    with tempfile.TemporaryDirectory() as folder:
        out, log, printed = (pathlib.Path(folder) / name for name in ("run", "log", "printed"))
        out.mkdir()
        begin, used = time.monotonic(), processor_seconds()
        with log.open("w") as errors, printed.open("w") as output:
            process = subprocess.Popen(program(arguments, seed, out), stdout=output, stderr=errors,
                                       env={"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **os.environ})
        draws = random.Random(seed)
        next_kill, kills, killed = 0, 0, None
        while process.poll() is None:
            time.sleep(0.02)
            pids = worker_pids(out)
            if len(pids) != arguments.workers or killed in pids:
                next_kill = time.monotonic() + every
            elif every > 0 and time.monotonic() > next_kill:
                killed = draws.choice(pids)
                try:
                    os.kill(killed, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    killed = None
        seconds = time.monotonic() - begin, processor_seconds() - used
        if process.returncode != 0:
            sys.exit(f"{log.read_text(encoding='utf-8')}\nthe training ended with exit code {process.returncode}")
        result = (json.loads((out / "summary.json").read_text(encoding="utf-8")) if program is ours else
                  json.loads(printed.read_text(encoding="utf-8").splitlines()[-1]))
        return result["test_accuracy"], seconds, kills


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--every", type=float, default=20)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--sync", default="pso-ps")
    parser.add_argument("--peer", action="store_true", help="DistributedDataParallel under torchrun, too")
    parser.add_argument("--data", default=pathlib.Path.home() / ".local/share/swarmsync/mnist", help="of the peer")
    parser.add_argument("--checkpoint-every", type=int, default=20, help="steps of the peer")
    parser.add_argument("--monitor-interval", type=float, default=0.1, help="of torchrun, seconds; its default is 5")
    arguments = parser.parse_args()
    programs = {arguments.sync: ours}
    if arguments.peer:
        programs["torchrun"] = theirs
    above, costs = {name: [] for name in programs}, {name: [] for name in programs}
    print("| seed | | left alone | killed | above | kills | seconds alone | killed | a loss cost | "
          "processor seconds alone | killed | a loss cost |\n"
          "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for seed in map(int, arguments.seeds.split(",")):
        for name, program in programs.items():
            alone, seconds_alone, _ = train(program, arguments, seed, 0)
            killed, seconds_killed, kills = train(program, arguments, seed, arguments.every)
            above[name].append(100 * (killed - alone))
            costs[name].append([(b - a) / max(1, kills) for a, b in zip(seconds_alone, seconds_killed)])
            times = " | ".join(f"{a:.1f} | {b:.1f} | {cost:.1f}"
                               for a, b, cost in zip(seconds_alone, seconds_killed, costs[name][-1]))
            print(f"| {seed} | {name} | {100 * alone:.2f} | {100 * killed:.2f} | {above[name][-1]:+.2f} | {kills} | "
                  f"{times} |", flush=True)
    for name in programs if len(costs[arguments.sync]) > 1 else ():
        wall, processor = (f"{statistics.mean(each):.1f} ± {interval(each):.1f}" for each in zip(*costs[name]))
        print(f"\n{name}: the difference in points {statistics.mean(above[name]):+.2f} ± {interval(above[name]):.2f}; "
              f"a loss cost {wall} seconds, {processor} seconds of processors")


if __name__ == "__main__":
    main()
