#!/usr/bin/env python3
"""N separate PyTorch trainings of one network on one GPU at the same time: the peer of N workers on a GPU.

    python3 bench/peers/train_gpu.py [--model resnet20] [--workers 4] [--batch-size 32] [--steps 200] [--amp bf16]

Each is a process of its own, as PyTorch's users would start them: nothing is exchanged. The images are made up and
lie on the GPU already, so loading them costs nothing here. SGD with momentum and weight decay. Prints one JSON line
with the samples per second of all together, from the first step that all have begun to the last.
"""

import argparse
import json
import pathlib
import sys
import time

import torch
from torch import multiprocessing
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "model"))
from torch_networks import NETWORKS  # noqa: E402

WARM_UP = 30  # steps in which libraries are loaded and measured
CHANNELS, SIZE, CLASSES, IMAGES = 3, 32, 10, 4096


def work(rank, arguments, together, spans):
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    network = NETWORKS[arguments.model]().cuda()
    images = torch.randn(IMAGES, CHANNELS, SIZE, SIZE, device="cuda")
    if arguments.amp == "bf16":
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (IMAGES,), device="cuda")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

    def step(number):
        begin = number * arguments.batch_size % (IMAGES - arguments.batch_size)
        batch = slice(begin, begin + arguments.batch_size)
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=arguments.amp == "bf16"):
            loss = functional.cross_entropy(network(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()

    for number in range(WARM_UP):
        step(number)
    torch.cuda.synchronize()
    together.wait()
    begin = time.monotonic()
    for number in range(arguments.steps):
        step(number)
    torch.cuda.synchronize()
    spans.put((begin, time.monotonic()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(NETWORKS), default="resnet20")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32, help="of each")
    parser.add_argument("--steps", type=int, default=200, help="of each")
    parser.add_argument("--amp", choices=["none", "bf16"], default="none")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    together, spans = context.Barrier(arguments.workers), context.Queue()
    processes = [context.Process(target=work, args=(rank, arguments, together, spans))
                 for rank in range(arguments.workers)]
    for process in processes:
        process.start()
    found = [spans.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    seconds = max(end for _, end in found) - min(begin for begin, _ in found)
    print(json.dumps({"peer": "pytorch-processes", "model": arguments.model, "workers": arguments.workers,
                      "batch_size": arguments.batch_size, "amp": arguments.amp, "steps": arguments.steps,
                      "samples_per_second": arguments.workers * arguments.steps * arguments.batch_size / seconds,
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
