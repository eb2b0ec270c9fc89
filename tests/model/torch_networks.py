"""The registry's larger networks, written in PyTorch by their papers.

A module of make_goldens.py and of bench/peers; not to be run by itself.
"""

import torch
from torch import nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut; projected: a 1x1 convolution where the size changes, else zeros."""

    def __init__(self, channels_in, channels_out, stride, projected):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.stride, self.added = stride, channels_out - channels_in
        self.changes = stride != 1 or self.added != 0
        if self.changes and projected:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                                            nn.BatchNorm2d(channels_out))
        self.projected = projected

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.changes and self.projected:
            x = self.downsample(x)
        elif self.changes:
            before = self.added // 2
            x = functional.pad(x[:, :, ::self.stride, ::self.stride],
                               (0, 0, 0, 0, before, self.added - before))
        return functional.relu(x + y)


class ResNet(nn.Module):
    def __init__(self, widths, blocks, projected, channels=3, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.stages = len(widths)
        width = widths[0]
        for stage, channels_out in enumerate(widths):
            layer = []
            for block in range(blocks):
                layer.append(BasicBlock(width, channels_out, 2 if stage > 0 and block == 0 else 1, projected))
                width = channels_out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(width, classes)
        initialize(self)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class Vgg11(nn.Module):
    def __init__(self, channels=3, classes=10):
        super().__init__()
        layers = []
        for width in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
            if width == "pool":
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(512, classes)
        initialize(self)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


def initialize(network):
    """Convolutions as in He et al. 2015, for the fan-out."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


NETWORKS = {
    "resnet8": lambda: ResNet((16, 32, 64), 1, projected=False),
    "resnet20": lambda: ResNet((16, 32, 64), 3, projected=False),
    "resnet18": lambda: ResNet((64, 128, 256, 512), 2, projected=True),
    "vgg11": Vgg11,
}
