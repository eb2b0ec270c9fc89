#!/usr/bin/python3
"""Prototypes of a learning rate that finds itself through the exchange. docs/results/family.md says what came of them.

    bench/learning_rate.py RULE:RATES[:OPTION=VALUE]...

    bench/learning_rate.py fixed:.1 finder:.01:seed=102 population-mean:.01,.04,.16,.64:every=2

Each argument is one training: LeNet-5 on Fashion-MNIST, 4 workers with batch 32 in one process, 3 epochs, averaging with
inertia (informed-pso-ps with beta 0, that is SlowMo) and the average over the rounds as the model; judged on 5,000
held-out training samples. RATES: one for all workers, or one for each. RULE:

  fixed             they stay
  population        after every `every` rounds the worker with the worst loss over their steps takes the rate of the
                    best, times 0.8 or 1.25
  population-mean   the same, but what counts is the loss, on 512 samples, at the mean of a round's positions
  agreement         each rate grows by exp(gain (a - target)) in a round; a: how much of the worker's move the others
                    have in common with it, a = <d_i, m_i> / |d_i|^2 with m_i the mean of the others' moves
  finder            the rate of all grows like that, by exp(gain steps / 16 (a - target)), where a is the share of the
                    moves' squares that all have in common, until a falls below the target; then it stays

Needs Debian's python3-torch and the data set (`swarmsync data get fashion-mnist`). One thread, half a minute a training.
"""

import math
import os
import pathlib
import sys

import numpy as np
import torch
from torch.nn import functional as F

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "peers"))
from lenet5 import LeNet5  # noqa: E402
from peer import read_training_set  # noqa: E402

WORKERS, BATCH, HELD_OUT, WINDOW = 4, 32, 5000, 16
DATA = pathlib.Path(os.environ.get("SWARMSYNC_DATA_DIR", pathlib.Path.home() / ".local/share/swarmsync"))


class Flat:
    """A network whose weights and gradients are one vector each."""

    def __init__(self, net):
        self.net = net
        parameters = list(net.parameters())
        self.weights = torch.cat([p.detach().flatten() for p in parameters])
        self.gradient = torch.zeros_like(self.weights)
        offset = 0
        for p in parameters:
            part = slice(offset, offset + p.numel())
            p.data, p.grad = self.weights[part].view_as(p), self.gradient[part].view_as(p)
            offset += p.numel()

    def loss(self, images, labels):
        return F.cross_entropy(self.net(images), labels)

    @torch.no_grad()
    def loss_at(self, weights, images, labels):
        if not weights.isfinite().all():
            return math.inf
        self.weights.copy_(weights)
        return self.loss(images, labels).item()


def agreement(move, others):
    """a_i of a worker, at most 1 and at least -1."""
    mean = sum(others) / len(others)
    return max(-1.0, min(1.0, (move.dot(mean) / (move.dot(move) + 1e-20)).item()))


class Fixed:
    wants_mean = False

    def __init__(self, rates, options, random):
        self.rates, self.options, self.random, self.seen = rates, options, random, []

    def after_round(self, steps, moves, losses, mean_losses):
        pass


class Population(Fixed):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.sums, self.rounds = np.zeros(WORKERS), 0

    def after_round(self, steps, moves, losses, mean_losses):
        fitness = np.array(mean_losses if self.wants_mean else losses)
        self.sums += np.where(np.isfinite(fitness), fitness, 1e9)
        self.rounds += 1
        if self.rounds % int(self.options.get("every", 4)) == 0:
            best, worst = self.sums.argmin(), self.sums.argmax()
            self.rates[worst] = self.rates[best] * (1.25 if self.random.rand() < 0.5 else 0.8)
            self.sums[:] = 0


class PopulationMean(Population):
    wants_mean = True


class Agreement(Fixed):
    def after_round(self, steps, moves, losses, mean_losses):
        gain, target = self.options.get("gain", 0.3), self.options.get("target", 0.15)
        found = []
        for i, move in enumerate(moves):
            others = [other for j, other in enumerate(moves) if j != i and other.isfinite().all()]
            if others and move.isfinite().all():
                found.append(agreement(move, others))
                self.rates[i] *= math.exp(gain * (found[-1] - target))
            else:
                self.rates[i] /= 2
        self.seen.append(sum(found) / max(1, len(found)))


class Finder(Fixed):
    found = False

    def after_round(self, steps, moves, losses, mean_losses):
        gain, target = self.options.get("gain", 0.3), self.options.get("target", 0.15)
        if not all(move.isfinite().all() for move in moves):
            self.rates[:] = [rate / 2 for rate in self.rates]
            return
        mean, squares = sum(moves) / WORKERS, sum(move.dot(move).item() for move in moves) / WORKERS
        share = (WORKERS * mean.dot(mean).item() / squares - 1) / (WORKERS - 1)
        before = self.seen[-1] if self.seen else share
        smoothed = before + min(1, steps / WINDOW) * (share - before)
        self.seen.append(smoothed)
        self.found = self.found or smoothed < target
        if not self.found:
            self.rates[:] = [rate * math.exp(gain * steps / WINDOW * (share - target)) for rate in self.rates]


RULES = {"fixed": Fixed, "population": Population, "population-mean": PopulationMean, "agreement": Agreement,
         "finder": Finder}


def train(rule_class, rates, options):
    """The held-out accuracy, 0 when it diverged; the rule as it ended; the rates of all rounds."""
    seed, period = int(options.get("seed", 101)), int(options.get("period", 16))
    inertia, epochs, power = options.get("inertia", 0.7), int(options.get("epochs", 3)), 8
    images, labels = map(torch.from_numpy, read_training_set(DATA / "fashion-mnist"))
    images, labels = ((images.float() / 255 - 0.286) / 0.353)[:, None], labels.long()
    held_out, images = (images[:HELD_OUT], labels[:HELD_OUT]), images[HELD_OUT:]
    labels = labels[HELD_OUT:]

    torch.manual_seed(seed)
    flat = Flat(LeNet5())
    generator = torch.Generator().manual_seed(seed)
    probe = torch.randint(0, len(images), (512,), generator=generator)
    rule = rule_class(rates, options, np.random.RandomState(seed))
    position = flat.weights.clone()
    velocity, average = torch.zeros_like(position), torch.zeros_like(position)
    steps_per_epoch = len(images) // (WORKERS * BATCH)
    history, step, rounds = [], 0, 0
    while step < epochs * steps_per_epoch:
        steps = min(period, epochs * steps_per_epoch - step)
        batches = []
        for k in range(step, step + steps):
            if k % steps_per_epoch == 0:
                order = torch.randperm(len(images), generator=generator)
            first = k % steps_per_epoch * WORKERS * BATCH
            batches.append(order[first:first + WORKERS * BATCH])
        moves, losses, means = [], [], []
        for worker in range(WORKERS):
            flat.weights.copy_(position)
            total, mean = 0.0, torch.zeros_like(position)
            for batch in batches:
                mine = batch[worker * BATCH:(worker + 1) * BATCH]
                flat.gradient.zero_()
                loss = flat.loss(images[mine], labels[mine])
                loss.backward()
                flat.weights.add_(flat.gradient, alpha=-rule.rates[worker])
                total += loss.item()
                if rule.wants_mean:
                    mean += flat.weights / steps
            moves.append(flat.weights - position)
            losses.append(total / steps)
            means.append(mean)
        mean_losses = [flat.loss_at(mean, images[probe], labels[probe]) for mean in means] if rule.wants_mean else []
        step, rounds = step + steps, rounds + 1
        finite = [move for move in moves if move.isfinite().all()]
        if not finite:
            return 0, rule, history
        rule.after_round(steps, moves, losses, mean_losses)
        velocity = inertia * velocity + sum(finite) / len(finite)
        position = position + velocity
        if not position.isfinite().all():
            return 0, rule, history
        average += (position - average) * (power + 1) / (rounds + power)
        history.append(list(rule.rates))
    flat.weights.copy_(average)
    with torch.no_grad():
        right = [(flat.net(held_out[0][i:i + 500]).argmax(1) == held_out[1][i:i + 500]).sum().item()
                 for i in range(0, HELD_OUT, 500)]
    return sum(right) / HELD_OUT, rule, history


def main():
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for argument in sys.argv[1:]:
        name, rates, *options = argument.split(":")
        rates = [float(rate) for rate in rates.split(",")]
        if len(rates) not in (1, WORKERS):
            sys.exit(f"{argument}: {len(rates)} rates; give 1 or {WORKERS}")
        options = {key: float(value) for key, value in (option.split("=") for option in options)}
        accuracy, rule, history = train(RULES[name], rates * WORKERS if len(rates) == 1 else rates, options)
        quarters = [[round(rate, 4) for rate in history[k * (len(history) - 1) // 4]] for k in range(5)] if history else []
        print(f"{argument}: validation accuracy {accuracy:.4f}; rates {quarters}; agreement "
              f"{[round(a, 2) for a in rule.seen[::max(1, len(rule.seen) // 8)]]}", flush=True)


if __name__ == "__main__":
    main()
