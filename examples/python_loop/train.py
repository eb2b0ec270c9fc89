#!/usr/bin/python3
"""A loop of PyTorch's with PSO-PS in three lines: it learns which of two spirals a point is on.

    python3 examples/python_loop/train.py                                           # a worker alone
    torchrun --standalone --nproc_per_node=4 examples/python_loop/train.py          # four

Every worker draws samples of its own. PYTHONPATH must have the package: build/release/python, or where it is installed.
"""

import math
import os

import torch
import torch.distributed as dist

import swarmsync


def draw_spirals(count, generator):
    """Points of the plane, and which of two spirals each is on."""
    label = torch.randint(2, (count,), generator=generator)
    angle = 3 * math.pi * torch.rand(count, generator=generator).sqrt()
    turned = angle + math.pi * label
    points = torch.stack([angle * turned.cos(), angle * turned.sin()], dim=1) / 10
    return points + 0.01 * torch.randn(count, 2, generator=generator), label


def main():
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    rank = dist.get_rank() if dist.is_initialized() else 0
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(),
                                torch.nn.Linear(64, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sync = swarmsync.PsoPs(model, period=16)

    generator = torch.Generator().manual_seed(rank + 1)
    for _ in range(1500):
        points, label = draw_spirals(64, generator)
        optimizer.zero_grad(set_to_none=False)
        loss = torch.nn.functional.cross_entropy(model(points), label)
        loss.backward()
        optimizer.step()
        sync.step(loss)
    sync.finish()
    sync.load_final_model()

    if rank == 0:
        points, label = draw_spirals(2000, torch.Generator().manual_seed(0))
        with torch.no_grad():
            accuracy = (model(points).argmax(1) == label).float().mean().item()
        workers = dist.get_world_size() if dist.is_initialized() else 1
        print(f"{workers} workers, {sync.rounds} exchanges: accuracy {accuracy:.3f} ({sync.final_model})")


if __name__ == "__main__":
    main()
