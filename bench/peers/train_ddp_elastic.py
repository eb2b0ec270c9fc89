#!/usr/bin/env python3
"""PyTorch's DistributedDataParallel under torchrun, going on from its checkpoint when torchrun starts it again.

    /usr/bin/python3 -m torch.distributed.run --nproc_per_node=4 --max_restarts=1000 --monitor_interval=0.1
        bench/peers/train_ddp_elastic.py --data DIR --out DIR [--epochs 5] [--checkpoint-every 20] [--seed 1] …

LeNet-5 on MNIST: the peer of bench/failures.py, with what `swarmsync train` takes by default, plain SGD with batches of
64 in each worker; a permutation for each epoch, its tail dropped. Rank 0 writes the checkpoint under a temporary name
and renames it. When a worker dies, torchrun stops the others and starts all of them again. workers.json has their
processes, from when all have taken a step. Prints one JSON line; its seconds count from the start of the training,
restarts included.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import torch
import torch.distributed as dist
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

import peer
from lenet5 import LeNet5


def read(directory, part):
    """Normalized images [n, 1, 28, 28] and labels [n]."""
    images, labels = (torch.from_numpy(peer.read_idx(pathlib.Path(directory) / f"{part}-{name}-ubyte"))
                      for name in ("images-idx3", "labels-idx1"))
    return images.unsqueeze(1).float().div_(255).sub_(peer.MEAN).div_(peer.STD), labels.long()


def write_checkpoint(path, state):
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def evaluate(network, images, labels):
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(part) for part in images.split(250)])
    return (logits.argmax(1) == labels).float().mean().item(), functional.cross_entropy(logits, labels).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the raw IDX files")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="existing folder, for the checkpoint")
    parser.add_argument("--checkpoint-every", type=int, default=20, help="steps")
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64, help="of each worker")
    parser.add_argument("--lr", type=float, default=peer.LEARNING_RATE)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    dist.init_process_group("gloo")
    rank, workers, batch = dist.get_rank(), dist.get_world_size(), arguments.batch_size
    pids = [None] * workers
    dist.all_gather_object(pids, os.getpid())
    images, labels = read(arguments.data, "train")
    steps_per_epoch = len(labels) // (batch * workers)
    torch.manual_seed(arguments.seed)
    network = DistributedDataParallel(LeNet5())
    optimizer = torch.optim.SGD(network.parameters(), lr=arguments.lr)

    checkpoint, begun, first = arguments.out / "checkpoint.pt", time.time(), 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        network.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        begun, first = state["begun"], state["epoch"] * steps_per_epoch + state["step"]
    if rank == 0:
        print(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']} begins at step {first}", file=sys.stderr, flush=True)

    epoch_of_permutation = None
    for number in range(first, arguments.epochs * steps_per_epoch):
        epoch, step = divmod(number, steps_per_epoch)
        if epoch != epoch_of_permutation:
            order = torch.Generator().manual_seed(10000 * arguments.seed + epoch)
            permutation, epoch_of_permutation = torch.randperm(len(labels), generator=order), epoch
        begin = (step * workers + rank) * batch
        ids = permutation[begin:begin + batch]
        optimizer.zero_grad()
        functional.cross_entropy(network(images[ids]), labels[ids]).backward()
        optimizer.step()
        if rank == 0 and number == first:
            (arguments.out / "workers.json").write_text(json.dumps([{"pid": pid} for pid in pids]))
        if rank == 0 and (number + 1) % arguments.checkpoint_every == 0:
            epoch, step = divmod(number + 1, steps_per_epoch)
            write_checkpoint(checkpoint, {"model": network.module.state_dict(), "optimizer": optimizer.state_dict(),
                                          "epoch": epoch, "step": step, "begun": begun})
    if rank == 0:
        seconds = time.time() - begun
        accuracy, loss = evaluate(network.module, *read(arguments.data, "t10k"))
        print(json.dumps({"peer": "pytorch-ddp-elastic", "workers": workers, "epochs": arguments.epochs,
                          "checkpoint_every": arguments.checkpoint_every, "lr": arguments.lr, "seed": arguments.seed,
                          "test_accuracy": accuracy, "test_loss": loss, "seconds": seconds,
                          "torch": torch.__version__}), flush=True)
    dist.barrier()


if __name__ == "__main__":
    main()
