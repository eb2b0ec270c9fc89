#!/usr/bin/env python3
"""What PyTorch computes with weights in a state dict.

    logits.py make MODEL INPUT WEIGHTS    writes the state dict of a network with weights of its own
    logits.py run MODEL INPUT WEIGHTS     reads one

INPUT: a state dict of one tensor, 'images'. Both write the logits, in evaluation mode, to INPUT.logits, a state dict
of one tensor too.
"""

import sys

import torch
from torch import nn
from torch.nn import functional

from torch_networks import NETWORKS


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(torch.flatten(x, 1))))))


def main(action, model, input_file, weights):
    torch.manual_seed(3)
    network = {**NETWORKS, "lenet5": LeNet5}[model]()
    images = torch.load(input_file, weights_only=True)["images"]
    if action == "make":
        with torch.no_grad():
            network(images)  # in training mode, which moves running statistics
        torch.save(network.state_dict(), weights)
    else:
        network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    with torch.no_grad():
        torch.save({"logits": network(images)}, input_file + ".logits")


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] not in ("make", "run"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
