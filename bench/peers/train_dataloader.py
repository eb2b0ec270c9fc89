#!/usr/bin/env python3
"""PyTorch as tutorials write it: LeNet-5 on MNIST with torchvision's data set and a DataLoader.

    python3 bench/peers/train_dataloader.py --data DIR [--steps N] [--warmup N] [--threads T]

torchvision.datasets.MNIST with ToTensor and Normalize, a shuffling DataLoader without processes of
its own, loss.item() at every step. Needs Debian's python3-torchvision. Prints one JSON line with
the samples per second.
"""

import pathlib
import tempfile

from torch.utils.data import DataLoader
from torchvision import datasets, transforms

import peer


def make_epoch(arguments):
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((peer.MEAN,), (peer.STD,))])
    with tempfile.TemporaryDirectory() as root:  # torchvision wants root/MNIST/raw
        (pathlib.Path(root) / "MNIST").mkdir()
        (pathlib.Path(root) / "MNIST" / "raw").symlink_to(pathlib.Path(arguments.data).absolute())
        images = datasets.MNIST(root, train=True, transform=transform)  # reads all of it now
    loader = DataLoader(images, batch_size=arguments.batch_size, shuffle=True, num_workers=0)
    return lambda: loader


if __name__ == "__main__":
    peer.run("pytorch-dataloader", __doc__.splitlines()[0], make_epoch, read_every_loss=True)
