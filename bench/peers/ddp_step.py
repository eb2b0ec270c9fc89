#!/usr/bin/env python3
"""What a step of PyTorch's DistributedDataParallel takes, between processes on this host, by Gloo.

    /usr/bin/python3 bench/peers/ddp_step.py [--model lenet5] [--workers 4] [--batch-size 64] [--steps 100]

Plain SGD; the images are made up and lie in memory. Prints one JSON line with the samples per second of all workers
together, from the first step after some that do not count to the last.
"""

import argparse
import json
import os
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
from lenet5 import LeNet5  # noqa: E402
from torch_networks import NETWORKS  # noqa: E402

WARM_UP = 3


def work(rank, arguments, store):
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=arguments.workers)
    lenet5 = arguments.model == "lenet5"
    model = DistributedDataParallel(LeNet5() if lenet5 else NETWORKS[arguments.model]())
    shape = (1, 28, 28) if lenet5 else (3, 32, 32)
    images = torch.randn(arguments.batch_size, *shape)
    labels = torch.randint(0, 10, (arguments.batch_size,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(WARM_UP + arguments.steps):
        if step == WARM_UP:
            dist.barrier()
            begin = time.perf_counter()
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    dist.barrier()
    seconds = time.perf_counter() - begin
    if rank == 0:
        print(json.dumps({"peer": "pytorch-ddp", "model": arguments.model, "workers": arguments.workers,
                          "samples_per_second": arguments.steps * arguments.batch_size * arguments.workers / seconds,
                          "torch": torch.__version__}), flush=True)
    dist.barrier()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["lenet5", *sorted(NETWORKS)], default="lenet5")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument("--batch-size", type=int, default=64, help="of each")
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(work, (arguments, f"{folder}/store"), nprocs=arguments.workers)


if __name__ == "__main__":
    main()
