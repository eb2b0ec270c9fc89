#!/usr/bin/env python3
"""Reads a safetensors file without any of SwarmSync's code and prints what is in it as JSON.

    python3 read_safetensors.py FILE

Written from the format's description (https://github.com/huggingface/safetensors), with NumPy only.
"""

import json
import struct
import sys

import numpy as np

NUMPY_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
               "I8": "i1", "U8": "u1"}


def values(dtype, raw):
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, NUMPY_TYPES[dtype])


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    data = content[8 + length:]
    assert content[8:9] == b"{", "the header begins with a brace"
    assert (8 + length) % 8 == 0, "the data is aligned"

    metadata = header.pop("__metadata__", {})
    tensors, end = [], 0
    for name, entry in header.items():
        begin, end_of_this = entry["data_offsets"]
        assert begin == end, "no holes and no overlaps"
        end = end_of_this
        array = values(entry["dtype"], data[begin:end])
        assert array.size == np.prod(entry["shape"], dtype=int)
        tensors.append({"name": name, "dtype": entry["dtype"], "shape": entry["shape"],
                        "values": array.tolist()})
    assert end == len(data), "nothing behind the tensors"
    return {"metadata": metadata, "tensors": tensors}


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1]), allow_nan=False))
