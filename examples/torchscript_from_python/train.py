#!/usr/bin/env python3
"""Trains a module that is defined in Python with SwarmSync, and takes the weights back into the module.

usage: train.py DIRECTORY [FLAG…]

DIRECTORY holds the four IDX files of a data set like MNIST, gzipped or not. Further flags are those of
`swarmsync train`. The tool is found in the PATH, or where the variable SWARMSYNC names it.
"""

import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8 * 12 * 12, 10)

    def forward(self, images):
        return self.head(torch.flatten(self.features(images), 1))


def swarmsync(*arguments):
    subprocess.run([os.environ.get("SWARMSYNC", "swarmsync"), *arguments], check=True)


def read_idx(directory, name, header):
    file = next(pathlib.Path(directory).glob(name + "*"))
    data = file.read_bytes()
    return torch.frombuffer(bytearray(gzip.decompress(data) if file.suffix == ".gz" else data)[header:],
                            dtype=torch.uint8)


def main(directory, *flags):
    net = Net()
    with tempfile.TemporaryDirectory() as work:
        script, run, weights = f"{work}/net.pt", f"{work}/run", f"{work}/weights.pt"
        torch.jit.save(torch.jit.script(net), script)
        swarmsync("train", f"--model=torchscript:{script}", f"--dataset=idx:{directory}", f"--out={run}", *flags)

        swarmsync("export", "--weights", f"{run}/model.safetensors", "--out", weights)
        net.load_state_dict(torch.load(weights, weights_only=True))
        # PyTorch does not look at it: among others, how the images were normalized.
        metadata = json.loads(zipfile.ZipFile(weights).read("archive/extra/metadata.json"))
        summary = json.loads(pathlib.Path(run, "summary.json").read_text())

    description = json.loads(metadata["swarmsync"])
    images = read_idx(directory, "t10k-images", 16).reshape(-1, 1, 28, 28) / 255
    labels = read_idx(directory, "t10k-labels", 8)
    net.eval()
    with torch.no_grad():
        logits = net((images - description["mean"][0]) / description["stddev"][0])
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    print(f"test accuracy of the module in Python: {accuracy:.4f}")
    if abs(accuracy - summary["test_accuracy"]) > 0.001:  # an image may be on the edge
        sys.exit(f"and of the run: {summary['test_accuracy']:.4f}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
