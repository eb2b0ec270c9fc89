#!/usr/bin/env python3
"""What the larger networks compute in PyTorch, for given weights and images: tests/model/goldens.json.

    /usr/bin/python3 tests/model/make_goldens.py            # compares with the file, to rounding
    /usr/bin/python3 tests/model/make_goldens.py --write    # writes it anew

Weights and images come from arithmetic with whole numbers (scrambled), so that a test in another language has the same.
They look random: with numbers in a pattern, such as sines, channels are nearly alike, and BatchNorm blows the rounding of
one processor or another up to what it divides by.
"""

import argparse
import json
import math
import pathlib
import sys

import torch
from torch.nn import functional

from torch_networks import NETWORKS

GOLDENS = pathlib.Path(__file__).with_name("goldens.json")
BATCH = 8


def scrambled(number, shape):
    """Element j: a number in [-1, 1) from the cube of j + 7919 (number + 1), modulo a prime."""
    prime = 1000003
    x = (torch.arange(math.prod(shape)) + 7919 * (number + 1)) % prime
    return (2 * ((x * x % prime) * x % prime).double() / prime - 1).reshape(shape)


def fill(network):
    """Every parameter and float buffer, numbered in their order, gets values of a plausible size."""
    tensors = list(network.named_parameters())
    tensors += [(name, buffer) for name, buffer in network.named_buffers() if buffer.is_floating_point()]
    for number, (name, tensor) in enumerate(tensors):
        values = scrambled(number, tensor.shape)
        if tensor.dim() > 1:
            values *= math.sqrt(2 * tensor.shape[0] / tensor.numel())
        elif name.endswith("running_var"):
            values = 1 + 0.5 * values * values
        elif name.endswith("weight"):
            values = 1 + 0.1 * values
        else:
            values *= 0.1
        tensor.data.copy_(values)


def golden(network):
    fill(network)
    images = scrambled(1000, (BATCH, 3, 32, 32)).float()
    labels = torch.arange(BATCH)
    network.eval()
    with torch.no_grad():
        evaluated = network(images)
    network.train()
    trained = network(images)
    loss = functional.cross_entropy(trained, labels)
    loss.backward()
    return {
        "names": [name for name, _ in network.named_parameters()],
        "buffers": [name for name, _ in network.named_buffers()],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "evaluated": evaluated.flatten().tolist(),
        "trained": trained.flatten().tolist(),
        "loss": loss.item(),
        "gradient_norms": [parameter.grad.norm().item() for parameter in network.parameters()],
        "running_norms": [buffer.norm().item() for buffer in network.buffers() if buffer.is_floating_point()],
    }


def close(a, b):
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    if isinstance(a, float):
        return math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-4)
    return a == b


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    goldens = {name: golden(make()) for name, make in NETWORKS.items()}
    if arguments.write:
        GOLDENS.write_text(json.dumps(goldens, indent=0) + "\n")
        return
    written = json.loads(GOLDENS.read_text())
    for name, values in goldens.items():
        for key, value in values.items():
            if not close(written[name][key], value):
                sys.exit(f"{GOLDENS.name}: {key} of {name} is not what PyTorch {torch.__version__} computes")
    if written.keys() != goldens.keys():
        sys.exit(f"{GOLDENS.name}: it has {', '.join(written)}; the networks are {', '.join(goldens)}")


if __name__ == "__main__":
    main()
