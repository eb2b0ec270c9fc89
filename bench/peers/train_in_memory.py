#!/usr/bin/env python3
"""PyTorch at its best: the whole normalized training set as one float tensor.

    python3 bench/peers/train_in_memory.py --data DIR [--model lenet5|resnet20] [--batch-size B] [--steps N] …

LeNet-5 on MNIST, or ResNet-20 on CIFAR-10. Each epoch draws a permutation and takes its batches by index; the loss is
never read. Prints one JSON line with the samples per second.
"""

import torch

import cifar10
import peer


def read(arguments):
    if arguments.model != "lenet5":
        return cifar10.read_training_set(arguments.data)
    images, labels = peer.read_training_set(arguments.data)
    inputs = torch.from_numpy(images).unsqueeze(1).float().div_(255)
    return inputs.sub_(peer.MEAN).div_(peer.STD), torch.from_numpy(labels).long()


def make_epoch(arguments):
    inputs, targets = read(arguments)

    def epoch():
        for index in torch.randperm(len(targets)).split(arguments.batch_size):
            yield inputs[index], targets[index]

    return epoch


if __name__ == "__main__":
    peer.run("pytorch-in-memory", __doc__.splitlines()[0], make_epoch, read_every_loss=False)
