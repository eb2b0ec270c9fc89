#!/usr/bin/python3
"""How many instructions the kernels of an exchange take for each weight, by callgrind: a count, not a time.

    instructions_test.py KERNEL_PROGRAM [--print]

Ends with 1 where a kernel takes more than is allowed here, with 77 without valgrind or AVX2. --print shows the counts.
"""

import pathlib
import re
import shutil
import subprocess
import sys

SIZES = (20_000, 120_000)
# Instructions for each weight, without those that make the arrays: a tenth more than Debian 12's g++ made of them.
# Valgrind shows programs no AVX-512, so these are those of AVX2.
ALLOWED = {
    "swarm": 4.2,
    "total": 5.6,
    "nesterov": 5.8,
    "total-round": 5.6,
    "total-element": 15.6,
    "total-personal": 6.4,
    "total-element-personal": 27.0,
    "sketch": 4.9,
}


def instructions(program, kernel, size):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, kernel, str(size)],
                          stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def each(program, kernel):
    few, many = (instructions(program, kernel, size) for size in SIZES)
    return (many - few) / (SIZES[1] - SIZES[0])


def main():
    program = sys.argv[1]
    if not shutil.which("valgrind") or "avx2" not in pathlib.Path("/proc/cpuinfo").read_text():
        print("skipped: no valgrind, or no AVX2")
        sys.exit(77)
    copies = each(program, "nothing")
    failed = []
    for kernel, allowed in ALLOWED.items():
        count = each(program, kernel) - (0 if kernel == "sketch" else copies)
        if "--print" in sys.argv:
            print(f"{kernel}: {count:.2f}")
        if count > allowed:
            failed.append(f"{kernel}: {count:.2f} instructions for each weight, and {allowed} are allowed")
    sys.exit("\n".join(failed) or 0)


if __name__ == "__main__":
    main()
