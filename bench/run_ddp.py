#!/usr/bin/python3
"""A step of ssgd against one of PyTorch's DistributedDataParallel, processes on this host.

    bench/run_ddp.py [--repetitions R] [--workers W] [--models lenet5,resnet18] [--json FILE]

The programs take turns: swarmsync with its gradients in buckets, with all of them in one (`--bucket-mb 1000`), and
bench/peers/ddp_step.py. swarmsync reads its images (MNIST; for the others made-up ones in CIFAR's files), the peer has
one mini-batch in memory. Prints a Markdown table of medians, least to most, and the median of the ratios of the turns.
Needs Debian's python3-torch, and MNIST for lenet5. Run it on an idle machine.
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile

from experiment import ROOT, TOOL

PEER = "DistributedDataParallel"
OURS = {"ssgd": [], "ssgd, one bucket": ["--bucket-mb=1000"]}
CASES = {"lenet5": {"batch_size": 64, "steps": 300}, "resnet18": {"batch_size": 16, "steps": 8}}
RECORD = 3073  # bytes of an image in CIFAR-10's files


def make_images(directory, count):
    """CIFAR-10's files with random images and labels; few to test on."""
    generator = random.Random(1)

    def write(name, records):
        data = bytearray(generator.randbytes(records * RECORD))
        data[::RECORD] = bytes(i % 10 for i in range(records))
        (directory / name).write_bytes(data)

    for i in range(1, 6):
        write(f"data_batch_{i}.bin", count // 5)
    write("test_batch.bin", 50)


def ours(model, case, workers, flags, images):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([str(TOOL), "train", "--quiet", "--sync=ssgd", f"--model={model}", f"--workers={workers}",
                        f"--dataset={'mnist' if model == 'lenet5' else f'cifar:{images}'}", "--lr=0.01",
                        f"--batch-size={case['batch_size']}", f"--steps={case['steps']}", "--threads-per-worker=1",
                        f"--out={out}/run", *flags], check=True)
        return json.loads(pathlib.Path(out, "run/summary.json").read_text())["samples_per_second"]


def theirs(model, case, workers):
    done = subprocess.run(["/usr/bin/python3", ROOT / "bench/peers/ddp_step.py", f"--model={model}",
                           f"--workers={workers}", f"--batch-size={case['batch_size']}", f"--steps={case['steps']}"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["samples_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--models", default=",".join(CASES))
    parser.add_argument("--json", type=pathlib.Path, help="file that gets every turn")
    arguments = parser.parse_args()
    records = []
    print(f"| network | {arguments.workers} workers | ms a step | least to most | to {PEER} |\n"
          "| --- | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as images:
        make_images(pathlib.Path(images), 2000)
        for model in arguments.models.split(","):
            case, turns = CASES[model], []
            for _ in range(arguments.repetitions):
                rates = {name: ours(model, case, arguments.workers, flags, images) for name, flags in OURS.items()}
                rates[PEER] = theirs(model, case, arguments.workers)
                turns.append({name: 1e3 * case["batch_size"] * arguments.workers / rate for name, rate in rates.items()})
            records.append({"model": model, "workers": arguments.workers, **case, "milliseconds": turns})
            if arguments.json:
                arguments.json.write_text(json.dumps(records, indent=1) + "\n")
            for name in turns[0]:
                times = [turn[name] for turn in turns]
                ratio = statistics.median(turn[name] / turn[PEER] for turn in turns)
                print(f"| {model} | {name} | {statistics.median(times):.1f} | {min(times):.1f} to {max(times):.1f} "
                      f"| {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
