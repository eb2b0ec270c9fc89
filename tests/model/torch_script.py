#!/usr/bin/env python3
"""TorchScript modules for the tests, and what such a file computes.

    torch_script.py make KIND FILE    writes a module; KIND: good, frozen, outputs, tied, assigns
    torch_script.py run FILE          prints, as JSON, its logits for images of ones, in evaluation mode
"""

import json
import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
                                      nn.AdaptiveAvgPool2d(7))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(196, classes)

    def forward(self, x):
        return self.head(self.drop(torch.flatten(self.features(x), 1)))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(784, 784)
        self.second = self.first
        self.head = nn.Linear(784, 10)

    def forward(self, x):
        return self.head(self.second(self.first(torch.flatten(x, 1))))


class Assigns(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(784, 10)
        self.register_buffer("average", torch.zeros(10))

    def forward(self, x):
        x = self.head(torch.flatten(x, 1))
        self.average = 0.9 * self.average + 0.1 * x.mean(0)
        return x


def make(kind, path):
    torch.manual_seed(1)
    networks = {"tied": Tied, "assigns": Assigns, "outputs": lambda: Net(7)}
    network = networks.get(kind, lambda: Net(10))()
    script = torch.jit.script(network)
    if kind == "frozen":
        script = torch.jit.freeze(script.eval())
    torch.jit.save(script, path)


def run(path):
    script = torch.jit.load(path).eval()
    with torch.no_grad():
        logits = script(torch.ones(2, 1, 28, 28))
    print(json.dumps({"logits": logits.flatten().tolist(),
                      "names": [name for name, _ in script.named_parameters()],
                      "batches": int(dict(script.named_buffers())["features.1.num_batches_tracked"])}))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "make":
        make(*sys.argv[2:])
    elif len(sys.argv) == 3 and sys.argv[1] == "run":
        run(sys.argv[2])
    else:
        sys.exit(__doc__)
