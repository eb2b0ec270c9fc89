#!/usr/bin/env python3
"""PyTorch at its best: LeNet-5 on MNIST, the whole normalized training set as one float tensor.

    python3 bench/peers/train_in_memory.py --data DIR [--steps N] [--warmup N] [--threads T]

Each epoch draws a permutation and takes its batches by index; the loss is never read. Prints one
JSON line with the samples per second.
"""

import torch

import peer


def make_epoch(directory):
    images, labels = peer.read_training_set(directory)
    inputs = torch.from_numpy(images).unsqueeze(1).float().div_(255)
    inputs.sub_(peer.MEAN).div_(peer.STD)
    targets = torch.from_numpy(labels).long()

    def epoch():
        for index in torch.randperm(len(targets)).split(peer.BATCH_SIZE):
            yield inputs[index], targets[index]

    return epoch


if __name__ == "__main__":
    peer.run("pytorch-in-memory", __doc__.splitlines()[0], make_epoch, read_every_loss=False)
