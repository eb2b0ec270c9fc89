#!/usr/bin/env python3
"""What an exchange of a model takes in PyTorch, between processes on this host, by Gloo.

    python3 bench/peers/exchange.py [--parameters N] [--workers W] [--repetitions R]

Times PeriodicModelAverager.average_parameters(), and by themselves the all-reduce and the broadcast
that such an exchange is made of. Before each the processes wait for each other; a repetition takes
as long as its slowest rank. Prints one JSON line, with medians in milliseconds.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
import warnings

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch.distributed.algorithms.model_averaging import averagers

WARM_UPS = 3


def slowest(seconds):
    """Of each repetition, over the ranks."""
    times = torch.tensor(seconds, dtype=torch.float64)
    dist.all_reduce(times, op=dist.ReduceOp.MAX)
    return times.tolist()


def time_of(call, repetitions):
    seconds = []
    for _ in range(WARM_UPS + repetitions):
        dist.barrier()
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(slowest(seconds)[WARM_UPS:])


def run_rank(rank, arguments, store):
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")  # that a period of 1 is no use
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank,
                            world_size=arguments.workers)
    model = torch.nn.ParameterList([torch.full((arguments.parameters,), float(rank))])
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # the averager takes those that were trained
    averager = averagers.PeriodicModelAverager(period=1, warmup_steps=0)
    averager.average_parameters(model.parameters())
    mean = (arguments.workers - 1) / 2
    if not torch.allclose(model[0], torch.tensor(mean)):
        raise SystemExit(f"the mean of the ranks is {mean} and the averager made {model[0][0]} of it")
    flat = torch.zeros(arguments.parameters)
    milliseconds = {
        "periodic_model_averager": time_of(
            lambda: averager.average_parameters(model.parameters()), arguments.repetitions),
        "all_reduce": time_of(lambda: dist.all_reduce(flat), arguments.repetitions),
        "broadcast": time_of(lambda: dist.broadcast(flat, 0), arguments.repetitions),
    }
    if rank == 0:
        print(json.dumps({"peer": "pytorch", "workers": arguments.workers,
                          "parameters": arguments.parameters, "milliseconds": milliseconds,
                          "torch": torch.__version__}))
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description="An exchange in PyTorch")
    parser.add_argument("--parameters", type=int, default=11173962)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(run_rank, (arguments, os.path.join(folder, "store")),
                                    nprocs=arguments.workers)


if __name__ == "__main__":
    main()
