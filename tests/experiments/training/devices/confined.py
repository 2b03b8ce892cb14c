"""Attempts at a run in processes that may have so many mebibytes more than they begin with.

    python confined.py SPEC.json MEBIBYTES

is one attempt, `attempt` starts it. MEBIBYTES, or ``inf``: of private memory (RLIMIT_DATA) on the CPU, of the GPU's
on CUDA. The last line that it prints is how many it had at most, and ``ended``, when the run has its record, or else
for what it wants another attempt.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.sweep import Settings, nested
from experiments.training.adjustments import OutOfMemoryError
from experiments.training.execution import Execution
from experiments.training.memory import PeakMemory
from experiments.training.run import device_of
from experiments.training.spec import RunSpec
from utils.datasets.phantom import Phantom
from utils.images.cache import build_cache
from utils.splits.folds import Fold, Split
from utils.splits.table import split_table

MIB = 2**20
DIED = "died"


def phantoms(folder: Path, size: int, cases: int) -> tuple[Path, Path]:
    """The cache and the split file of that many phantoms with lesions: half train, an eighth validates, the rest tests.

    size: pixels of a side.
    """
    dataset = Phantom(cases=2 * cases, height=size, width=size)
    made = dataset.cases()
    ids = [case.id for case in made if case.label != "normal"][:cases]
    ids = sorted(ids[::2]) + sorted(ids[1::2])  # every kind in every part
    train, validation = cases // 2, cases // 8
    parts = ids[:train], ids[train : train + validation], ids[train + validation :]
    folder.mkdir(parents=True)
    split_file = folder / "split.csv"
    split = Split((Fold(0, *(tuple(sorted(part)) for part in parts)),))
    split_file.write_text(split_table(split, {case.id: case.id for case in made}))
    return build_cache(dataset, made, [], (size, size), folder), split_file


def spec_of(folder: Path, data: tuple[Path, Path], settings: Mapping[str, Any], device: str = "cpu") -> RunSpec:
    """A run in `folder` on such data."""
    folder.mkdir(parents=True)
    values = nested(Settings.model_validate(settings))
    cache, split_file = data
    return RunSpec("s", "c", "n", 0, values, folder, cache, split_file, None, "", "", "", device=device)


def attempt(spec: RunSpec, room: float) -> tuple[float, str]:
    """What a process comes to with `room` mebibytes: how many it had, and ``ended``, `DIED` or what it has adjusted."""
    file = spec.folder.with_suffix(".json")
    file.write_text(json.dumps(spec.to_json()))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[4]), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, __file__, str(file), str(room)], capture_output=True, text=True, env=environment
    )
    if "Traceback" in process.stderr:
        raise RuntimeError(process.stderr)
    # Some libraries end the process where malloc has nothing; the run is retried then as with any worker's death.
    peak, outcome = json.loads(process.stdout.splitlines()[-1]) if process.returncode == 0 else (math.nan, DIED)
    return peak, outcome


def main(spec_file: Path, room: float) -> None:
    spec = RunSpec.from_json(json.loads(spec_file.read_text()))
    device = device_of(spec.device)
    peak = PeakMemory(device)
    before = _confine(room, peak, device)
    execution, outcome = Execution(spec), "ended"
    try:
        while not execution.step().ended:
            pass
    except OutOfMemoryError as error:
        outcome = str(error)
    print(json.dumps([peak.mebibytes() - before, outcome]))


def _confine(room: float, peak: PeakMemory, device: torch.device) -> float:
    """Answers how many mebibytes the process has as yet."""
    if device.type == "cuda":
        if math.isfinite(room):
            torch.cuda.set_per_process_memory_fraction(room * MIB / torch.cuda.mem_get_info(device)[1], device)
        return 0.0
    # What libraries take at their first use, and for good, is not the run's.
    np.linalg.eigvalsh(np.ones((64, 64)))
    torch.nn.Conv2d(4, 4, 3)(torch.ones(1, 4, 8, 8)).sum().backward()
    if math.isfinite(room):
        status = Path("/proc/self/status").read_text().splitlines()
        [held] = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:")]
        resource.setrlimit(resource.RLIMIT_DATA, (held + round(room * MIB), resource.RLIM_INFINITY))
    peak.start()
    return peak.mebibytes()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
