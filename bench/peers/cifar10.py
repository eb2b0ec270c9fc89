"""CIFAR-10's binary files, for the PyTorch peers.

A module of the peers beside it; not to be run by itself.
"""

import pathlib

import numpy as np
import torch

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
STDDEV = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)
RECORD = 3073


def read(paths):
    """Normalized images [n, 3, 32, 32] and labels [n]."""
    records = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, RECORD) for path in paths])
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()).float().div_(255)
    return images.sub_(MEAN).div_(STDDEV), torch.from_numpy(records[:, 0].astype(np.int64))


def read_training_set(directory):
    return read([pathlib.Path(directory) / f"data_batch_{i}.bin" for i in range(1, 6)])
