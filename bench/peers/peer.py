"""What the PyTorch peers share: flags, the IDX files, the training loop, the result line.

A module of train_in_memory.py and train_dataloader.py; not to be run by itself.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "model"))
from torch_networks import NETWORKS  # noqa: E402

from lenet5 import LeNet5  # noqa: E402

LEARNING_RATE = 0.1
MODELS = {"lenet5": LeNet5, "resnet20": NETWORKS["resnet20"]}
MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels, scaled to 0-1


def read_idx(path):
    """A raw IDX file of bytes as a uint8 array."""
    content = pathlib.Path(path).read_bytes()
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: not an IDX file of bytes (it starts with {content[:4].hex()})")
    shape = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape).copy()


def read_training_set(directory):
    """uint8 images [60000, 28, 28] and labels [60000]."""
    directory = pathlib.Path(directory)
    return (read_idx(directory / "train-images-idx3-ubyte"),
            read_idx(directory / "train-labels-idx1-ubyte"))


def run(peer, description, make_epoch, read_every_loss):
    """Trains and prints one JSON line.

    make_epoch: called once with the parsed flags; what it returns is called for each epoch and
        yields its batches, (inputs, targets).
    read_every_loss: loss.item() at every step, or never.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True, help="folder of the raw IDX files, or of CIFAR-10's binary ones")
    parser.add_argument("--model", choices=sorted(MODELS), default="lenet5")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1500, help="steps that are measured")
    parser.add_argument("--warmup", type=int, default=0, help="steps before those")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.warmup < 0:
        parser.error("--steps must be 1 or more and --warmup 0 or more")

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    network = MODELS[arguments.model]()
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    epoch = make_epoch(arguments)
    total_loss = 0.0

    def batches():
        while True:
            yield from epoch()

    def train_step(inputs, targets):
        nonlocal total_loss
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(inputs), targets)
        loss.backward()
        optimizer.step()
        if read_every_loss:
            total_loss += loss.item()
        return len(targets)

    source = batches()
    for _ in range(arguments.warmup):
        train_step(*next(source))
    start = time.perf_counter()
    samples = sum(train_step(*next(source)) for _ in range(arguments.steps))
    seconds = time.perf_counter() - start
    print(json.dumps({"peer": peer, "samples_per_second": samples / seconds,
                      "steps": arguments.steps, "batch_size": arguments.batch_size, "seconds": seconds,
                      "torch": torch.__version__}))
