#!/usr/bin/env python3
"""PyTorch's DistributedDataParallel on CIFAR-10, with the recipe of recipes/cifar10-resnet8.toml: ssgd's peer.

    /usr/bin/python3 bench/peers/train_ddp.py --data DIR [--model resnet8] [--workers 4] [--epochs 10] [--seed 1] …

DIR holds CIFAR-10's binary files, as `swarmsync data get cifar10` leaves them. Starts the workers itself, as processes
with Gloo on loopback. SGD with momentum, weight decay but for biases and BatchNorm, a cosine after a warm-up, padded
random crops and flips; a permutation for each epoch, its tail dropped. Prints one JSON line.
"""

import argparse
import json
import math
import pathlib
import sys
import tempfile
import time

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "model"))
from torch_networks import NETWORKS  # noqa: E402

import cifar10  # noqa: E402

def augment(images, generator):
    """Padded by 4 with black, a random crop, every second one mirrored."""
    n = len(images)
    padded = (-cifar10.MEAN / cifar10.STDDEV).expand(3, 40, 40).repeat(n, 1, 1, 1)
    padded[:, :, 4:36, 4:36] = images
    down, right = torch.randint(0, 9, (2, n, 1, 1), generator=generator)
    mirrored = torch.randint(0, 2, (n, 1, 1), generator=generator).bool()
    columns = torch.arange(32).view(1, 1, 32)
    columns = torch.where(mirrored, 31 - columns, columns) + right
    rows = torch.arange(32).view(1, 32, 1) + down
    return padded[torch.arange(n).view(n, 1, 1), :, rows, columns].permute(0, 3, 1, 2)


def rate(arguments, step, steps_per_epoch):
    seen, total = step / steps_per_epoch, arguments.epochs
    risen = min(1, (seen + 1 / steps_per_epoch) / arguments.lr_warmup) if arguments.lr_warmup > 0 else 1
    return arguments.lr * risen * (1 + math.cos(math.pi * seen / total)) / 2


def evaluate(network, images, labels):
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(part) for part in images.split(250)])
    return (logits.argmax(1) == labels).float().mean().item(), functional.cross_entropy(logits, labels).item()


def work(rank, arguments, store):
    torch.set_num_threads(arguments.threads)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=arguments.workers)
    images, labels = cifar10.read_training_set(arguments.data)
    torch.manual_seed(arguments.seed)
    network = DistributedDataParallel(NETWORKS[arguments.model]())
    parameters = list(network.parameters())
    optimizer = torch.optim.SGD(
        [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": arguments.weight_decay},
         {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0}],
        lr=arguments.lr, momentum=arguments.momentum)
    batch, workers = arguments.batch_size, arguments.workers
    steps_per_epoch = len(labels) // (batch * workers)
    order = torch.Generator().manual_seed(arguments.seed)
    mine = torch.Generator().manual_seed(1000 * arguments.seed + rank)
    start = time.perf_counter()
    for epoch in range(arguments.epochs):
        permutation = torch.randperm(len(labels), generator=order)
        network.train()
        for step in range(steps_per_epoch):
            lr = rate(arguments, epoch * steps_per_epoch + step, steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = lr
            begin = (step * workers + rank) * batch
            ids = permutation[begin:begin + batch]
            optimizer.zero_grad()
            functional.cross_entropy(network(augment(images[ids], mine)), labels[ids]).backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    if rank == 0:
        accuracy, loss = evaluate(network.module, *cifar10.read([pathlib.Path(arguments.data) / "test_batch.bin"]))
        print(json.dumps({"peer": "pytorch-ddp", "model": arguments.model, "workers": workers,
                          "epochs": arguments.epochs, "lr": arguments.lr, "seed": arguments.seed,
                          "test_accuracy": accuracy, "test_loss": loss,
                          "samples_per_second": arguments.epochs * steps_per_epoch * batch * workers / seconds,
                          "seconds": seconds, "torch": torch.__version__}), flush=True)
    dist.barrier()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", choices=sorted(NETWORKS), default="resnet8")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32, help="of each worker")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--lr-warmup", type=float, default=0.5, help="epochs")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        multiprocessing.spawn(work, (arguments, f"{directory}/store"), nprocs=arguments.workers)


if __name__ == "__main__":
    main()
