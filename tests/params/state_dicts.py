#!/usr/bin/env python3
"""State dicts, and what is none, as PyTorch writes and reads them.

    state_dicts.py write KIND FILE    writes one; prints, as JSON, the tensors that it holds
    state_dicts.py read FILE          prints the tensors that torch.load finds, with weights_only and without
"""

import collections
import json
import os
import sys

import torch
from torch import nn


class Code:
    """What a hostile file would have: loading it by Python makes a file beside it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}.ran'",)


def network():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))


def types():
    names = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    state = {name: torch.tensor([[0, 1, 2], [3, 100, 7]]).to(getattr(torch, name)) for name in names}
    state.update(scalar=torch.tensor(0.5), empty=torch.zeros(0, 4), empty_too=torch.zeros(3, 0, dtype=torch.int16))
    state["Größe \"x\""] = torch.tensor([float("inf"), -0.0])
    return state


def views():
    base = torch.arange(24.0).reshape(4, 6)
    return {"whole": base, "row": base[1], "transposed": base.t(), "every_other": base[:, ::2], "last": base[3, 5],
            "repeated": base[2, :1].expand(3, 2), "last_in_memory": torch.rand(1, 2, 3, 4).to(memory_format=torch.channels_last)}


def trained(net):
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net(torch.rand(4, 2, 3, 3)).sum().backward()
    optimizer.step()
    return optimizer


def make(kind, path):
    torch.manual_seed(1)
    net = network()
    if kind == "module":
        trained(net)
        return net.state_dict()
    if kind == "whole_module":
        return net
    if kind == "checkpoint":
        return {"epoch": 3, "loss": 0.25, "model": net.state_dict(), "optimizer": trained(net).state_dict()}
    return {
        "types": types,
        "views": views,
        "parameters": lambda: collections.OrderedDict(net.named_parameters()),
        "buffer_that_is_none": lambda: {"weight": torch.rand(2), "bias": None},
        "number": lambda: {"weight": torch.rand(2), "steps": 7},
        "tensor": lambda: torch.rand(2),
        "list": lambda: [torch.rand(2)],
        "code": lambda: {"weight": torch.rand(2), "more": Code(path)},
        "complex": lambda: {"weight": torch.rand(2, dtype=torch.complex64)},
        "sparse": lambda: {"weight": torch.eye(2).to_sparse()},
        "empty": dict,
    }.get(kind, net.state_dict)()


def describe(state):
    return {name: {"type": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape),
                   "values": [str(v) for v in tensor.detach().to(torch.float64).flatten().tolist()]}
            for name, tensor in state.items()}


def write(kind, path):
    content = make(kind, path)
    if kind == "script":
        torch.jit.save(torch.jit.script(network()), path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind != "old_format",
                   **({"pickle_protocol": 4} if kind == "protocol_4" else {}))
    if kind in ("module", "types", "views", "parameters", "empty"):
        print(json.dumps(describe(content)))


def read(path):
    found = describe(torch.load(path, weights_only=True))
    assert found == describe(torch.load(path))
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "write":
        write(*sys.argv[2:])
    elif len(sys.argv) == 3 and sys.argv[1] == "read":
        read(sys.argv[2])
    else:
        sys.exit(__doc__)
