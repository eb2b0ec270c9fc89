"""LeNet-5 for 28x28 images: 61,706 parameters, PyTorch's default initialization.

A module of the peers beside it; not to be run by itself.
"""

from torch import nn


class LeNet5(nn.Sequential):
    """[batch, 1, 28, 28] to [batch, 10] logits."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 6, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, 10))
