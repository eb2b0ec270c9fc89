#!/usr/bin/env python3
"""PyTorch as tutorials write it: LeNet-5 on MNIST with a Dataset and a DataLoader.

    python3 bench/peers/train_dataloader.py --data DIR [--steps N] [--warmup N] [--threads T]

The Dataset turns one uint8 image at a time into a normalized tensor, as torchvision's ToTensor
and Normalize do (without their detour over a PIL image); the loader shuffles, has no processes
of its own, and the loss is read at every step. Prints one JSON line with the samples per second.
"""

import torch
from torch.utils.data import DataLoader, Dataset

import peer


class Mnist(Dataset):
    def __init__(self, images, labels):
        self.images = images
        self.labels = labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = torch.from_numpy(self.images[index]).unsqueeze(0).to(torch.float32).div(255)
        return image.sub_(peer.MEAN).div_(peer.STD), int(self.labels[index])


def make_epoch(images, labels):
    loader = DataLoader(Mnist(images, labels), batch_size=peer.BATCH_SIZE, shuffle=True,
                        num_workers=0)
    return lambda: loader


if __name__ == "__main__":
    peer.run("pytorch-dataloader", __doc__.splitlines()[0], make_epoch, read_every_loss=True)
