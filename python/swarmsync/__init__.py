"""SwarmSync's synchronizers in a training loop of PyTorch's::

    sync = swarmsync.PsoPs(model, period=32)
    for batch, target in loader:
        optimizer.zero_grad()
        loss = loss_of(model(batch), target)
        loss.backward()
        optimizer.step()
        sync.step(loss)
    sync.finish()
    sync.load_final_model()

Each process of torch.distributed's default group is a worker; without one, this process is a worker alone. Constructing
a synchronizer, step() at the end of a round, finish() and load_final_model() are collective: all ranks come there. The
model's parameters become views of one tensor, on which the exchange works in C++; nothing is copied afterwards.

Mistakes raise UsageError, a ValueError; ranks that are lost raise CommError, a ConnectionError.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import weakref
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Sequence, Union

import torch
import torch.distributed as dist

from ._swarmsync import CommError, Error, UsageError, Worker, __version__, synchronizers

if TYPE_CHECKING:
    from typing import TypedDict

    from typing_extensions import Unpack

    class Common(TypedDict, total=False):
        period: int
        seed: int
        buffers: str
        momentum_at_sync: str
        wire: str
        overlap: int
        guard: bool
        final_average: float
        sync_warmup_steps: int
        rates: Sequence[float]
        period_by_lr: float

__all__ = ["PsoPs", "InformedPsoPs", "Leader", "Average", "Easgd", "SlowMo", "DiLoCo", "Ssgd", "Synchronizer",
           "CommError", "Error", "UsageError", "__version__"]

_COMMON = ("period", "seed", "buffers", "momentum_at_sync", "wire", "overlap", "guard", "final_average",
           "sync_warmup_steps", "rates", "period_by_lr")


class Synchronizer:
    """Combines what the workers learn; make one of its subclasses.

    Args:
        model: trained by this process. Its parameters must be float32 and on one device, where they stay.
        optimizer: asked to forget its state where `momentum_at_sync="reset"` or the guard says so; needed for these.
        group: a process group whose backend sends tensors on the CPU (gloo or mpi); the default one, if left out.
        total_steps: the step that ends the training with an exchange, if it is known. finish() then does nothing.

    The options that all have, with the defaults of `swarmsync train` (docs/command-line.md), are

    Keyword Args:
        period: local steps between two exchanges (16).
        seed: of random factors.
        buffers: "average", "guide" or "local": what an exchange does with BatchNorm's statistics.
        momentum_at_sync: "keep" or "reset": what becomes of the optimizer's state.
        wire: "fp32", "bf16" or "int8".
        overlap: an exchange runs beside so many of the next steps. Nobody else may use the group meanwhile.
        guard: leave a worker that is far out, or not finite, out of an exchange.
        final_average: the final model is the average over the rounds, of round k with a weight of about k^p.
        sync_warmup_steps: as many steps exchange gradients first, as Ssgd does.
        rates: the learning rate of each step of the training, which a velocity follows down.
        period_by_lr: P; as many exchanges as with the period alone, but closer together while the rate is high, in
            proportion to the P-th power of the highest of `rates` that is still to come.
    """

    _name = ""

    def __init__(self, model: torch.nn.Module, *, optimizer: Optional[torch.optim.Optimizer] = None,
                 group: Optional[dist.ProcessGroup] = None, total_steps: int = 0, **options: Any) -> None:
        if not self._name:
            raise TypeError("Synchronizer has no algorithm; make one of its subclasses, such as PsoPs")
        options = {name: value for name, value in options.items() if value is not None}
        if optimizer is None and (options.get("guard") or options.get("momentum_at_sync") == "reset"):
            raise UsageError("guard=True and momentum_at_sync='reset' need optimizer=, whose state they reset")
        rates = _checked_rates(self._name, options.pop("rates", ()), options, total_steps)
        self._optimizer = optimizer
        self._model = model
        self._parameters = list(model.named_parameters())
        self._buffers = list(model.named_buffers())
        self._gradients = self._name == "ssgd" or options.get("sync_warmup_steps", 0) > 0
        self._waits_for_backward = self._gradients
        self._forgets = False
        self._queued = False
        self._syncs = True
        self._hooks: List[Any] = []
        self._worker = Worker(self._name, self._parameters, self._buffers,
                              _with_gloo(group), _SECONDS_TOLD, json.dumps(options), total_steps or len(rates), rates)
        if self._gradients:
            self._watch(model, options.get("sync_warmup_steps", 0))

    def step(self, loss: torch.Tensor) -> None:
        """Ends one mini-batch, behind optimizer.step(). Collective at the end of a round.

        loss: the mini-batch's mean loss, a scalar: the worker's fitness is its mean over the round.
        """
        self._check_tensors()
        if not self._gradients:
            self._forgets |= self._worker.before_optimizer()
        elif self._waits_for_backward:
            raise UsageError("step() was called and no backward() that exchanges gradients before it")
        self._forgets |= self._worker.after_optimizer(loss)
        if self._name != "ssgd" and self._gradients and self.steps >= self._warmup_steps:
            self._unwatch()
        self._waits_for_backward = self._gradients
        if self._forgets and self._optimizer is not None:
            self._optimizer.state.clear()
        self._forgets = False

    def finish(self) -> None:
        """Ends this worker's part: the exchange of a last partial round, then the others', until all have finished.

        Ranks may come here after different numbers of steps. Collective.
        """
        self._unwatch()
        self._worker.finish()

    def load_final_model(self) -> None:
        """Gives the model the weights and statistics to evaluate and keep: see `final_model`. Collective."""
        self._worker.load_final_model()

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """In it backward() exchanges no gradients, as DistributedDataParallel.no_sync(): for accumulating them."""
        before, self._syncs = self._syncs, False
        try:
            yield
        finally:
            self._syncs = before

    @property
    def name(self) -> str:
        """The name of the algorithm, as `swarmsync train --sync` has it."""
        return self._worker.name

    @property
    def period(self) -> int:
        """Local steps between two exchanges."""
        return self._worker.period

    @property
    def steps(self) -> int:
        """Steps made."""
        return self._worker.steps

    @property
    def rounds(self) -> int:
        """Exchanges made."""
        return self._worker.rounds

    @property
    def fitness(self) -> List[float]:
        """The fitness of each rank in the last exchange, by rank; lower is better. Empty where none is used."""
        return self._worker.fitness

    @property
    def guide(self) -> int:
        """The rank that all were pulled to in the last exchange; -1 where there is none."""
        return self._worker.guide

    @property
    def final_model(self) -> str:
        """Which position load_final_model() loads, such as "mean of the workers"."""
        return self._worker.final_model

    @property
    def bytes_sent(self) -> float:
        """Bytes that a rank has sent so far, the mean over the ranks."""
        return self._worker.bytes_sent

    def _check_tensors(self) -> None:
        # Module.to(), or an assignment to a buffer, may put others in their place, which nobody would exchange.
        for ours, now in ((self._parameters, self._model.named_parameters()),
                          (self._buffers, self._model.named_buffers())):
            for (name, tensor), (_, other) in zip(ours, now):
                if tensor is not other and tensor.dtype == torch.float32:
                    raise UsageError(f"'{name}' is another tensor (on {other.device}) than when {type(self).__name__} "
                                     "was made; make it anew, behind what replaces it, or change it in place")

    def _watch(self, model: torch.nn.Module, warmup_steps: int) -> None:
        # Hooks belong to the model, which may outlive this object.
        self._warmup_steps = warmup_steps
        on_gradient, on_forward = weakref.WeakMethod(self._on_gradient), weakref.WeakMethod(self._on_forward)
        for parameter in model.parameters():
            if parameter.requires_grad:
                self._hooks.append(parameter.register_hook(lambda _, call=on_gradient: call() and call()()))
        self._hooks.append(model.register_forward_pre_hook(lambda *_, call=on_forward: call() and call()()))

    def _unwatch(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._gradients = False

    def _on_forward(self) -> None:
        self._queued = False  # of a backward() that failed

    def _on_gradient(self) -> None:
        if self._syncs and not self._queued:
            self._queued = True
            torch.autograd.Variable._execution_engine.queue_callback(self._on_backward_done)

    def _on_backward_done(self) -> None:
        self._queued = False
        self._forgets |= self._worker.before_optimizer()
        self._waits_for_backward = False


_SECONDS_TOLD = 1800.0  # the group's own timeout holds


def _with_gloo(group: Optional[dist.ProcessGroup]) -> Optional[dist.ProcessGroup]:
    if group is None:
        if not (dist.is_available() and dist.is_initialized()):
            return None
        group = dist.distributed_c10d._get_default_group()
    backend = dist.get_backend(group)
    if not any(name in backend for name in ("gloo", "mpi")):
        raise UsageError(f"the process group's backend is {backend}, which sends no tensors on the CPU; give "
                         "group=torch.distributed.new_group(backend='gloo')")
    return group


def _checked(cls: type, options: dict) -> dict:
    for name in options:
        if name not in _COMMON:
            near = difflib.get_close_matches(name, _COMMON, 1)
            raise TypeError(f"{cls.__name__}() got an unexpected keyword argument '{name}'"
                            + (f"; did you mean '{near[0]}'?" if near else ""))
    return options


def _checked_rates(name: str, rates: Sequence[float], options: dict, total_steps: int) -> List[float]:
    rates = [float(rate) for rate in rates]
    power = options.get("period_by_lr", 0)
    if not 0 <= power <= 10:
        raise UsageError(f"period_by_lr is {power}; it must be from 0 to 10")
    if power and name == "ssgd":
        raise UsageError(f"period_by_lr is {power} and Ssgd exchanges at every step; leave it out")
    if power and not rates:
        raise UsageError(f"period_by_lr is {power} and there are no rates; give rates=, the learning rate of each step")
    if rates and total_steps not in (0, len(rates)):
        raise UsageError(f"there are {len(rates)} rates and total_steps is {total_steps}; give one for each step")
    for step, rate in enumerate(rates):
        if not (math.isfinite(rate) and rate >= 0):
            raise UsageError(f"rates[{step}] is {rate}; it must be a learning rate, 0 or more")
    return rates


class _Swarm(Synchronizer):
    def __init__(self, model: torch.nn.Module, optimizer: Optional[torch.optim.Optimizer],
                 group: Optional[dist.ProcessGroup], total_steps: int, common: dict, inertia: Union[float, str, None],
                 **own: Any) -> None:
        # "0.9:0.4" falls over the training, "auto" is found by the swarm.
        own["inertia"] = None if inertia is None else str(inertia)
        super().__init__(model, optimizer=optimizer, group=group, total_steps=total_steps,
                         **_checked(type(self), common), **own)


class PsoPs(_Swarm):
    """Particle swarm optimization for parameter synchronization (Ye, Han, Sun, Lv; arXiv 2009.03816).

    A worker is a particle, its weights the position, its loss the fitness (docs/synchronizers/pso-ps.md).

    Beside the arguments of Synchronizer:

    Args:
        inertia: w, in [0, 1); "A:B" changes over the training, "auto" lets the swarm choose.
        cognitive: c1, the pull to a worker's own best.
        social: c2, the pull to the best of all.
        velocity: what it holds and how it moves: "total", "nesterov" or "swarm".
        random: how often r1 and r2 are drawn: "none", "round", "tensor" or "element".
        memory: how long a best is remembered: "current", "historic" or "decay".
        memory_decay: how fast it worsens with "decay".
    """

    _name = "pso-ps"

    def __init__(self, model: torch.nn.Module, *, inertia: Union[float, str, None] = None, cognitive: float = 0.0,
                 social: Optional[float] = None, velocity: str = "total", random: str = "none",
                 memory: str = "current", memory_decay: float = 0.05,
                 optimizer: Optional[torch.optim.Optimizer] = None, group: Optional[dist.ProcessGroup] = None,
                 total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer, group, total_steps, common, inertia, cognitive=cognitive, social=social,
                         velocity=velocity, random=random, memory=memory, memory_decay=memory_decay)


class InformedPsoPs(_Swarm):
    """PSO-PS whose guide is a mean of all workers, weighted by fitness (docs/synchronizers/informed-pso-ps.md).

    Beside the arguments of Synchronizer:

    Args:
        inertia: w, as in PsoPs.
        social: c2, the pull to the mean.
        velocity: what it holds and how it moves, as in PsoPs.
        beta: how much more a fitter worker counts in it.
        random: how often r2 is drawn, as in PsoPs.
    """

    _name = "informed-pso-ps"

    def __init__(self, model: torch.nn.Module, *, inertia: Union[float, str, None] = None,
                 social: Optional[float] = None, velocity: str = "total", beta: float = 1.0, random: str = "none",
                 optimizer: Optional[torch.optim.Optimizer] = None, group: Optional[dist.ProcessGroup] = None,
                 total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer, group, total_steps, common, inertia, social=social, velocity=velocity,
                         beta=beta, random=random)


class Leader(Synchronizer):
    """A pull to the best worker at every exchange (after Leader SGD, Teng 2019).

    Beside the arguments of Synchronizer:

    Args:
        social: c2, the pull to the best worker.
    """

    _name = "leader"

    def __init__(self, model: torch.nn.Module, *, social: Optional[float] = None,
                 optimizer: Optional[torch.optim.Optimizer] = None, group: Optional[dist.ProcessGroup] = None,
                 total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer=optimizer, group=group, total_steps=total_steps,
                         **_checked(type(self), common), social=social)


class Average(Synchronizer):
    """All go on from the mean: parameter averaging, local SGD. With sync_warmup_steps it is post-local SGD."""

    _name = "average"

    def __init__(self, model: torch.nn.Module, *, optimizer: Optional[torch.optim.Optimizer] = None,
                 group: Optional[dist.ProcessGroup] = None, total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer=optimizer, group=group, total_steps=total_steps,
                         **_checked(type(self), common))


class Easgd(Synchronizer):
    """Springs between the workers and a center (Zhang 2015).

    Beside the arguments of Synchronizer:

    Args:
        elastic_alpha: a worker's step towards the center (0.9 / workers).
    """

    _name = "easgd"

    def __init__(self, model: torch.nn.Module, *, elastic_alpha: Optional[float] = None,
                 optimizer: Optional[torch.optim.Optimizer] = None, group: Optional[dist.ProcessGroup] = None,
                 total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer=optimizer, group=group, total_steps=total_steps,
                         **_checked(type(self), common), elastic_alpha=elastic_alpha)


class SlowMo(Synchronizer):
    """The mean moves with momentum (Wang 2020; with slow_alpha 1 it is BMUF, Chen and Huo 2016).

    Beside the arguments of Synchronizer:

    Args:
        slow_alpha: the outer step.
        slow_beta: the outer momentum, in [0, 1).
    """

    _name = "slowmo"

    def __init__(self, model: torch.nn.Module, *, slow_alpha: float = 1.0, slow_beta: Optional[float] = None,
                 optimizer: Optional[torch.optim.Optimizer] = None, group: Optional[dist.ProcessGroup] = None,
                 total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer=optimizer, group=group, total_steps=total_steps,
                         **_checked(type(self), common), slow_alpha=slow_alpha, slow_beta=slow_beta)


class DiLoCo(Synchronizer):
    """Outer SGD with Nesterov's momentum on what the workers moved (Douillard 2023).

    Beside the arguments of Synchronizer:

    Args:
        outer_lr: the learning rate of the outer SGD.
        outer_momentum: its Nesterov momentum, in [0, 1).
    """

    _name = "diloco"

    def __init__(self, model: torch.nn.Module, *, outer_lr: float = 0.7, outer_momentum: float = 0.9,
                 optimizer: Optional[torch.optim.Optimizer] = None, group: Optional[dist.ProcessGroup] = None,
                 total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer=optimizer, group=group, total_steps=total_steps,
                         **_checked(type(self), common), outer_lr=outer_lr, outer_momentum=outer_momentum)


class Ssgd(Synchronizer):
    """The mean gradient at every step, exchanged at the end of backward(): synchronous SGD; ignores `period`."""

    _name = "ssgd"

    def __init__(self, model: torch.nn.Module, *, optimizer: Optional[torch.optim.Optimizer] = None,
                 group: Optional[dist.ProcessGroup] = None, total_steps: int = 0, **common: Unpack[Common]) -> None:
        super().__init__(model, optimizer=optimizer, group=group, total_steps=total_steps,
                         **_checked(type(self), common))
