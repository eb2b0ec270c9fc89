"""What the scripts of experiments share: trainings whose records are lines of a file, never made twice.

Python's standard library only.
"""

import json
import math
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "build/release/swarmsync"
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}  # Student's t, two-sided, by degrees of freedom
KEPT = ("validation_accuracy", "test_accuracy", "test_loss", "train_loss", "bytes_sent_per_worker",
        "bytes_sent_between_groups_per_worker", "rounds", "wall_seconds", "sync_seconds", "wait_seconds",
        "samples_per_second")


class Experiment:
    """Trainings with flags in common; every finished one is a line of `path`."""

    def __init__(self, path, common, tool=TOOL):
        self.path, self.common, self.tool = pathlib.Path(path), common, tool
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.results = {}  # of all that is in the file, by flags
        for record in map(json.loads, lines):
            self.results[self._key(record["flags"])] = record["result"]

    def find(self, flags):
        """The result of a training that has been made; None when it has not."""
        return self.results.get(self._key({**self.common, **flags}))

    def run(self, flags):
        """One training; its result, from the file when it is there. {} when it diverged."""
        found = self.find(flags)
        if found is not None:
            return found
        flags = {**self.common, **flags}
        with tempfile.TemporaryDirectory() as out:
            arguments = [f"--{name}={value}" for name, value in flags.items()]
            done = subprocess.run([self.tool, "train", "--quiet", f"--out={out}/run", *arguments], check=False,
                                  stderr=subprocess.PIPE, text=True)
            if done.returncode != 0 and "training diverged" not in done.stderr:
                raise SystemExit(f"{' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")
            summary = json.loads((pathlib.Path(out) / "run/summary.json").read_text()) if done.returncode == 0 else {}
        record = {"flags": flags, "result": {key: summary[key] for key in KEPT if key in summary}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.results[self._key(flags)] = record["result"]
        print(json.dumps(record), flush=True)
        return record["result"]

    def values(self, flags, seeds, key):
        """One number for each seed; 0, the accuracy of nothing learned, where the training diverged."""
        return [self.run({**flags, "seed": seed}).get(key, 0.0) for seed in seeds]

    @staticmethod
    def _key(flags):
        return json.dumps(flags, sort_keys=True)


def interval(numbers):
    """Half the width of the 95 % interval of the mean."""
    return T_95[len(numbers) - 1] * statistics.stdev(numbers) / math.sqrt(len(numbers))
