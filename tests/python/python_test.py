"""The Python package, in several processes of torch.distributed, against the same training in C++ (peer.cc).

    python_test.py PACKAGE_DIRECTORY PEER        the package's parent, and the program that peer.cc makes
"""

import os
import subprocess
import sys
import tempfile
import unittest

PACKAGE, PEER = map(os.path.abspath, sys.argv[1:3])
sys.path.insert(0, PACKAGE)

import torch
import torch.distributed as dist

import swarmsync

CLASSES = {"pso-ps": swarmsync.PsoPs, "informed-pso-ps": swarmsync.InformedPsoPs, "leader": swarmsync.Leader,
           "average": swarmsync.Average, "easgd": swarmsync.Easgd, "slowmo": swarmsync.SlowMo,
           "diloco": swarmsync.DiLoCo, "ssgd": swarmsync.Ssgd}
WORKERS, STEPS, BATCH, INPUTS = 4, 22, 6, 5


def numbers(count, seed):
    return torch.sin(torch.arange(count, dtype=torch.float64) * 0.7 + seed).to(torch.float32)


def make_net():
    net = torch.nn.Sequential(torch.nn.Linear(INPUTS, 7), torch.nn.Tanh(), torch.nn.Linear(7, 1))
    with torch.no_grad():
        for seed, parameter in enumerate(net.parameters(), 1):
            parameter.copy_(0.5 * numbers(parameter.numel(), seed).view(parameter.shape))
    return net


def train(rank, net, sync, optimizer, steps=STEPS, set_to_none=False):
    for step in range(steps):
        batch = numbers(BATCH * INPUTS, 10.0 * step + rank).view(BATCH, INPUTS)
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = torch.nn.functional.mse_loss(net(batch), batch.sum(1, keepdim=True))
        loss.backward()
        optimizer.step()
        sync.step(loss)
    sync.finish()
    sync.load_final_model()


def flat(net):
    return torch.cat([parameter.detach().reshape(-1) for parameter in net.parameters()])


# The rate falls, the rounds follow it, and the velocity looks ahead.
FOLLOW = {"rates": [(STEPS - step) / STEPS for step in range(STEPS)], "period_by_lr": 1, "velocity": "nesterov"}


def worker(name, out, set_to_none, follow):
    """One rank: trains, and rank 0 writes what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    net = make_net()
    sync = CLASSES[name](net, period=4, seed=3, **(FOLLOW if follow else {}))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.5)
    train(dist.get_rank(), net, sync, optimizer, set_to_none=set_to_none)
    assert sync.steps == STEPS and sync.name == name and sync.bytes_sent > 0
    if name in ("pso-ps", "informed-pso-ps", "leader"):
        assert len(sync.fitness) == WORKERS, sync.fitness
    weights = flat(net)
    everybodys = [torch.empty_like(weights) for _ in range(WORKERS)]
    dist.all_gather(everybodys, weights)
    assert all(torch.equal(weights, other) for other in everybodys), "the final model is the same on all ranks"
    if dist.get_rank() == 0:
        with open(out, "wb") as file:
            file.write(weights.numpy().tobytes())
    del sync  # it uses the group
    dist.destroy_process_group()


def run_ranks(*arguments, ranks=WORKERS):
    """Starts this script as that many ranks, which meet in a file; the exit code and errors of each."""
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for rank in range(ranks):
            environment = dict(os.environ, RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1",
                               MASTER_PORT=str(PORT))
            processes.append(subprocess.Popen(
                [sys.executable, "-B", __file__, PACKAGE, PEER, "--rank", *arguments], env=environment,
                stderr=subprocess.PIPE, text=True, cwd=folder))
        errors = [process.communicate()[1] for process in processes]
        return [(process.returncode, text) for process, text in zip(processes, errors)]


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SeveralProcesses(unittest.TestCase):
    def check(self, name, set_to_none="", follow=""):
        global PORT
        PORT = free_port()
        with tempfile.TemporaryDirectory() as folder:
            mine, theirs = os.path.join(folder, "python"), os.path.join(folder, "c++")
            for code, errors in run_ranks(name, mine, set_to_none, follow):
                self.assertEqual(code, 0, errors)
            subprocess.run([PEER, name, theirs] + [follow] * bool(follow), check=True)
            with open(mine, "rb") as a, open(theirs, "rb") as b:
                self.assertEqual(a.read(), b.read(), f"{name}: not what C++ computes")


for _name in CLASSES:
    setattr(SeveralProcesses, "test_" + _name.replace("-", "_"), lambda self, name=_name: self.check(name))
setattr(SeveralProcesses, "test_gradients_that_are_none", lambda self: self.check("ssgd", "none"))
setattr(SeveralProcesses, "test_a_rate_that_falls", lambda self: self.check("informed-pso-ps", follow="follow"))


class OneProcess(unittest.TestCase):
    def setUp(self):
        self.net = make_net()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def test_a_worker_alone_trains_as_without(self):
        plain = make_net()
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
        for step in range(5):
            batch = numbers(BATCH * INPUTS, 10.0 * step).view(BATCH, INPUTS)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(plain(batch), batch.sum(1, keepdim=True)).backward()
            optimizer.step()
        sync = swarmsync.Average(self.net, period=2)
        train(0, self.net, sync, self.optimizer, steps=5)
        self.assertTrue(torch.equal(flat(plain), flat(self.net)))

    def test_no_weights_are_copied(self):
        sync = swarmsync.PsoPs(self.net, period=2)
        storages = {parameter.storage().data_ptr() for parameter in self.net.parameters()}
        self.assertEqual(len(storages), 1, "all parameters are views of one tensor")
        before = [parameter.data_ptr() for parameter in self.net.parameters()]
        train(0, self.net, sync, self.optimizer, steps=4)
        self.assertEqual([parameter.data_ptr() for parameter in self.net.parameters()], before)

    def test_the_state_dict_keeps_its_names(self):
        names = list(self.net.state_dict())
        swarmsync.PsoPs(self.net)
        self.assertEqual(list(self.net.state_dict()), names)

    def test_gradients_accumulate(self):
        sync = swarmsync.Ssgd(self.net)
        batch = numbers(BATCH * INPUTS, 1).view(BATCH, INPUTS)
        with sync.no_sync():
            self.net(batch).sum().backward()
        with self.assertRaisesRegex(swarmsync.UsageError, "no backward"):
            sync.step(torch.tensor(1.0))
        loss = self.net(batch).sum()
        loss.backward()
        sync.step(loss)
        self.assertEqual(sync.steps, 1)

    def test_a_second_backward_is_refused(self):
        swarmsync.Ssgd(self.net)  # nobody holds it: gone, and its hooks with it
        self.net(torch.ones(1, INPUTS)).sum().backward()
        sync = swarmsync.Ssgd(self.net)
        self.net(torch.ones(1, INPUTS)).sum().backward()
        with self.assertRaisesRegex(ValueError, "begun twice"):
            self.net(torch.ones(1, INPUTS)).sum().backward()
        sync.step(torch.tensor(1.0))

    def test_backward_after_the_end_is_pytorchs_own(self):
        sync = swarmsync.Ssgd(self.net)
        train(0, self.net, sync, self.optimizer, steps=2)
        self.net(torch.ones(1, INPUTS)).sum().backward()
        with self.assertRaisesRegex(swarmsync.UsageError, "ended"):
            sync.step(torch.tensor(1.0))

    def test_a_backward_that_fails_does_not_stop_the_next(self):
        class Fails(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                raise RuntimeError("no memory")

        sync = swarmsync.Ssgd(self.net)
        # The second layer has its gradient, then the backward fails in front of the first.
        with self.assertRaisesRegex(RuntimeError, "no memory"):
            hidden = self.net[1](self.net[0](torch.ones(1, INPUTS)))
            self.net[2](Fails.apply(hidden)).sum().backward()
        self.optimizer.zero_grad()
        loss = self.net(torch.ones(1, INPUTS)).sum()
        loss.backward()
        sync.step(loss)
        self.assertEqual(sync.steps, 1)

    def test_warm_up_ends(self):
        sync = swarmsync.SlowMo(self.net, period=2, sync_warmup_steps=3)
        train(0, self.net, sync, self.optimizer, steps=9)
        self.assertEqual((sync.steps, sync.rounds), (9, 3 + 3))

    def test_buffers_that_are_replaced(self):
        norm = torch.nn.Sequential(torch.nn.Linear(INPUTS, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        sync = swarmsync.Average(norm, period=2)
        train(0, norm, sync, torch.optim.SGD(norm.parameters(), lr=0.1), steps=3)
        sync = swarmsync.Average(norm, period=2)
        norm[1].running_mean = torch.zeros(4)
        with self.assertRaisesRegex(swarmsync.UsageError, "running_mean"):
            sync.step(torch.tensor(1.0))

    def test_mistakes(self):
        usage = swarmsync.UsageError
        self.assertTrue(issubclass(usage, ValueError) and issubclass(usage, swarmsync.Error))
        with self.assertRaisesRegex(usage, "period"):
            swarmsync.PsoPs(self.net, period=0)
        with self.assertRaisesRegex(TypeError, "'perod'; did you mean 'period'"):
            swarmsync.PsoPs(self.net, perod=3)
        with self.assertRaisesRegex(usage, "inertia"):
            swarmsync.PsoPs(self.net, inertia=1.5)
        with self.assertRaisesRegex(ValueError, "velocity"):
            swarmsync.PsoPs(self.net, velocity="totl")
        with self.assertRaisesRegex(usage, "no parameters"):
            swarmsync.PsoPs(torch.nn.Tanh())
        with self.assertRaisesRegex(usage, "optimizer="):
            swarmsync.PsoPs(self.net, guard=True)
        with self.assertRaisesRegex(usage, r"period_by_lr is 2 and there are no rates"):
            swarmsync.PsoPs(self.net, period_by_lr=2)
        with self.assertRaisesRegex(usage, r"period_by_lr is -1; .* from 0 to 10"):
            swarmsync.PsoPs(self.net, period_by_lr=-1, rates=[1])
        with self.assertRaisesRegex(usage, r"Ssgd exchanges at every step"):
            swarmsync.Ssgd(self.net, period_by_lr=1, rates=[1])
        with self.assertRaisesRegex(usage, r"3 rates and total_steps is 4"):
            swarmsync.PsoPs(self.net, rates=[1, 0.5, 0], total_steps=4)
        with self.assertRaisesRegex(usage, r"rates\[1\] is nan"):
            swarmsync.PsoPs(self.net, rates=[1, float("nan")])
        with self.assertRaisesRegex(TypeError, "subclasses"):
            swarmsync.Synchronizer(self.net)
        with self.assertRaisesRegex(usage, "(?i)float|double"):
            swarmsync.PsoPs(make_net().double())

    def test_rounds_follow_the_highest_rate_to_come(self):
        # A warm-up of four steps, and four high ones: as many exchanges as of four steps each, the earlier ones closer.
        rates = [0.25, 0.5, 0.75, 1] + [1] * 4 + [0.1] * 8
        sync = swarmsync.Average(self.net, period=4, rates=rates, period_by_lr=1)
        ends = []
        for step in range(1, len(rates) + 1):
            before = sync.rounds
            sync.step(torch.tensor(1.0))
            if sync.rounds > before:
                ends.append(step)
        self.assertEqual(len(ends), 4)
        self.assertEqual(ends[-1], len(rates))
        self.assertLess(ends[1], 8, ends)

    def test_a_model_that_changes_after_construction(self):
        for change, told in (lambda net: net.double(), "(?i)double|float"), (lambda net: net.to("meta"), "meta"):
            net = make_net()
            sync = swarmsync.PsoPs(net)
            change(net)
            with self.assertRaisesRegex(swarmsync.UsageError, told):
                sync.step(torch.tensor(1.0))

    def test_reset_empties_the_optimizer(self):
        optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.9)
        sync = swarmsync.Average(self.net, period=2, momentum_at_sync="reset", optimizer=optimizer)
        train(0, self.net, sync, optimizer, steps=4)
        self.assertEqual(len(optimizer.state), 0)


if __name__ == "__main__":
    if sys.argv[3:4] == ["--rank"]:
        worker(sys.argv[4], sys.argv[5], sys.argv[6] == "none", bool(sys.argv[7]))
    else:
        unittest.main(argv=sys.argv[:1] + sys.argv[3:])
