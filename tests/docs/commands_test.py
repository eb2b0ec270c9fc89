#!/usr/bin/python3
"""Runs the commands of the documentation, on data sets of a few hundred images. A command of the programs below for
which no rule says how is an error, and so is a path of the repository that is not there. What is not run is counted,
with the reason.

usage: commands_test.py SOURCE_DIRECTORY BUILD_DIRECTORY [PAGE…]
"""

import collections
import os
import pathlib
import random
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

source, build = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
PROGRAMS = (r"swarmsync|mpirun|srun|torchrun|(/usr/bin/)?python3|cmake|ninja|tensorboard|export|source|openssl|"
            r"for \w+ in|[A-Z_]+=\S+|(scripts|bench|tests|fuzz|build|examples|tools)/\S+")

SKIPPED = 77  # what a script ends with that cannot run here

# How a command is run: the first pattern that is found in it says.
AS_IT_IS = "as it is"
BRIEFLY = "with one repetition and few weights, on sets of the true size"
PLANNED = "planned"  # what would be done is found out and printed, on the CPU
ITS_FLAGS = "its flags"  # a benchmark of minutes or hours: its help must have every flag and every word
RULES = [
    (r"…|\[", "not whole"),
    (r"/shared/|10\.0\.0\.1|eth1|--hostfile", "needs several hosts"),
    (r"^srun\b", "needs a Slurm: tests/cli/launchers_test.cc has one"),
    (r"^scripts/(quickstart|check|package|docs|install-packages|build)",
     "installs and builds; continuous integration runs check"),
    (r"^(cmake|ninja) .*build/cuda", "needs a GPU"),
    (r"^(cmake|ninja|build/)", "builds: tests/install does, the examples too"),
    (r"^fuzz/run", "lasts ten minutes a fuzzer; ctest reads their inputs"),
    (r"^swarmsync completion fish", "is fish's: tests/cli/completions_test.cc"),
    (r"^tensorboard", "TensorBoard is not a package of Debian's; tests/report reads the files"),
    (r"resnet18 .*--dataset cifar10|cifar10-resnet18", PLANNED),  # minutes on a CPU, and gigabytes
    (r"^(/usr/bin/python3 )?(bench|tests/faults)/", ITS_FLAGS),
    (r"^swarmsync compare .*--steps 20\b", AS_IT_IS),
    (r"^swarmsync compare|--device cuda|^swarmsync train .*--config recipes", PLANNED),
    (r"^swarmsync bench", BRIEFLY),
    (r"--config run.toml", "shows an error: tests/cli/config_file_test.cc"),
    (r"--transport mpi", AS_IT_IS if (build / "tests/mpi_rank").exists() else "is built without MPI"),
    (r"python_loop", AS_IT_IS if (build / "python/swarmsync").exists() else "is built without Python"),
    (r"^(swarmsync|mpirun|torchrun|export|source)\b|^python3 (net.py|-m torch.distributed.run)|^RANK=|^examples/",
     AS_IT_IS),
]


def pages():
    named = [pathlib.Path(page).resolve() for page in sys.argv[3:]]
    return named or [source / "README.md", source / "CONTRIBUTING.md", *sorted((source / "docs").rglob("*.md")),
                     *sorted((source / "examples").rglob("*.md"))]


def blocks(text):
    """The commands of each block of code, with their lines."""
    for block in re.finditer(r"(?m)(^(    .*)?\n)+|^```\n(?:.*\n)+?```\n", text):
        commands = []
        for match in re.finditer(r"(?m)^ *(\$ )?(\S(?:.*\\\n)*.*)$", block[0]):
            command = re.sub(r"\s*\\\n\s*", " ", match[2])
            command = re.sub(r"\s+#\s.*", "", command)
            if re.match(rf"({PROGRAMS})(\s|$)", command):
                commands.append((text[:block.start() + match.start()].count("\n") + 1, command))
        if commands:
            yield commands


def how(command):
    return next((rule for pattern, rule in RULES if re.search(pattern, command)), None)


def missing_flags(command):
    """What the help of a script does not name."""
    missing = []
    for one in command.split(" && "):
        words = [word for word in shlex.split(one) if word != "/usr/bin/python3"]
        if not (source / words[0]).is_file():
            missing.append(words[0])
            continue
        help_text = subprocess.run(["/usr/bin/python3", "-B", source / words[0], "--help"], capture_output=True,
                                   text=True, check=False)
        known = help_text.stdout + help_text.stderr
        missing += [word for word in words[1:]
                    if word.startswith("--") and not re.search(rf"{word.split('=')[0]}(?![\w-])", known)]
        missing += [word for word in words[1:2] if not word.startswith("-") and not re.search(rf"\b{word}\b", known)]
    return missing


def to_plan(command):
    """A loop once; on the CPU."""
    once = re.sub(r"^for (\w+) in (\S+) .*?; do (.*); done$", r"\1=\2; \3", command)
    return re.sub(r"--device cuda(:\d)?|--amp bf16", "", once) + " --dry-run"


def briefly(command):
    size = "" if "bench train" in command else " --parameters 100000"
    return re.sub(r" --parameters \S+", "", command) + " --repetitions 1" + size


def write_idx(directory, train, test, pixels):
    directory.mkdir(parents=True)
    for part, count in (("train", train), ("t10k", test)):
        with open(directory / f"{part}-images-idx3-ubyte", "wb") as images:
            images.write(struct.pack(">4I", 2051, count, 28, 28) + pixels(784 * count))
            images.truncate(16 + 784 * count)
        labels = bytes(index % 10 for index in range(count))
        (directory / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, count) + labels)


def write_cifar(directory, count, pixels):
    directory.mkdir(parents=True)
    for name in [f"data_batch_{index}" for index in range(1, 6)] + ["test_batch"]:
        (directory / f"{name}.bin").write_bytes(b"".join(bytes([index % 10]) + pixels(3072) for index in range(count)))


def write_data(directory):
    """Sets to train on in a moment, and others of the true sizes, for plans."""
    draw = random.Random(1)
    for name in ("mnist", "fashion-mnist"):
        write_idx(directory / "small" / name, 512, 128, draw.randbytes)
        write_idx(directory / "whole" / name, 60000, 10000, lambda size: b"")
    write_cifar(directory / "small/cifar10", 64, draw.randbytes)
    write_cifar(directory / "whole/cifar10", 10000, bytes)


class Pages:
    """Runs the commands of pages, each page in a directory of its own, and notes what went wrong."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.failures = []
        self.counts = collections.Counter()  # by rule
        write_data(scratch)

    def check(self, page):
        text, name = page.read_text(), page.relative_to(source)
        self.failures += [f"{name}: there is no {path}" for path in absent_paths(text)]
        directory = self.make_checkout(str(name).replace("/", "-"))
        for file, content in re.findall(r"This is `(\S+)`:\n\n```\w+\n(.*?)```", text, re.DOTALL):
            (directory / file).write_text(content)
        if "runs/first" in text and "--out runs/first" not in text:
            self.run(name, "swarmsync train --dataset mnist --model lenet5 --out runs/first", directory, "small")
        for commands in blocks(text):
            script = [command for line, command in commands
                      if self.belongs_to_script(f"{name}:{line}", command, directory)]
            for out in re.findall(r"--out (runs/\S+)", "\n".join(script)):
                shutil.rmtree(directory / out, ignore_errors=True)  # another way to do the same, further up
            if script:
                self.run(f"{name}:{commands[0][0]}", "\n".join(script), directory, "small")

    def make_checkout(self, name):
        directory = self.scratch / name
        (directory / "build").mkdir(parents=True)
        (directory / "build/release").symlink_to(build)
        for part in ("bench", "recipes", "examples"):
            (directory / part).symlink_to(source / part)
        return directory

    def belongs_to_script(self, where, command, directory):
        """Whether a command runs as it is, with the others of its block; else does with it what its rule says."""
        rule = how(command)
        self.counts[rule] += 1
        if rule is None:
            self.failures.append(f"{where}: no rule of this test says how to run: {command}")
        elif rule == ITS_FLAGS:
            self.failures += [f"{where}: {word} is not in the help of: {command}" for word in missing_flags(command)]
        elif rule == PLANNED:
            self.run(where, to_plan(command), directory, "whole")
        elif rule == BRIEFLY:
            self.run(where, briefly(command), directory, "whole")
        return rule == AS_IT_IS

    def run(self, where, script, directory, sets):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SWARMSYNC", "GTEST"))}
        environment.update(
            PATH=f"{build}:{environment['PATH']}", SWARMSYNC_DATA_DIR=str(self.scratch / sets),
            OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
        # On a Debian python3 is Debian's, whose PyTorch has no torchrun (docs/launchers.md).
        script_of_bash = f"""
            python3() {{ /usr/bin/python3 "$@"; }}
            torchrun() {{ python3 -m torch.distributed.run --redirects=9:1 --tee=9:1 "$@"; }}
            {script}
            for job in $(jobs -p); do wait $job; done"""
        result = subprocess.run(["bash", "-euo", "pipefail", "-c", script_of_bash], cwd=directory, env=environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=300, check=False)
        if result.returncode == SKIPPED:
            self.counts["cannot run here: " + result.stdout.strip().splitlines()[-1]] += 1
        elif result.returncode:
            self.failures.append(f"{where}: code {result.returncode} of: {script}\n    "
                                 + "\n    ".join(result.stdout.strip().splitlines()[-5:]))


def absent_paths(text):
    for path in re.findall(
            r"`((?:bench|tests|scripts|examples|src|include|fuzz|docs|recipes|cmake|tools|python)/[\w./-]+)", text):
        if not list(source.glob(path.rstrip("./") + "*")):
            yield path


def main():
    with tempfile.TemporaryDirectory() as scratch:
        checked = Pages(pathlib.Path(scratch))
        for page in pages():
            checked.check(page)
    for rule, count in checked.counts.most_common():
        print(f"{count:4} {rule}")
    print("\n".join(checked.failures))
    sys.exit(1 if checked.failures else 0)


main()
