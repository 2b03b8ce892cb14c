"""Calibrations by machine, in the user's cache: measured once for a CPU and a version of torch."""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from experiments.calibration.measurement import Calibration
from utils.files import write_text_atomically
from utils.identity import digest


def calibration_here(measure: Callable[[int], Calibration] | None) -> Calibration | None:
    """That of this machine; where it was never taken, `measure` takes it, given the number of cores, and it is kept.

    None where there is none and nothing to measure with. A file that cannot be read is said in a warning, and measured
    anew; one that cannot be written is measured again the next time.
    """
    machine = {"cpu": processor(), "cores": os.cpu_count() or 1, "torch": torch.__version__}
    path = cache_folder() / f"calibration-{digest(machine)}.json"
    kept = _read(path)
    if kept is not None or measure is None:
        return kept
    measured = measure(os.cpu_count() or 1)
    values = {name: value if value == value else None for name, value in asdict(measured).items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, json.dumps({"machine": machine, "times_as_fast": values}, indent=1) + "\n")
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error}); this machine is measured again the next time", stacklevel=2)
    return measured


def cache_folder() -> Path:
    """Where this user's programs keep what they can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segmentation-sweeps"


def processor() -> str:
    """The model of the CPU."""
    information = Path("/proc/cpuinfo")
    for line in information.read_text().splitlines() if information.is_file() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _read(path: Path) -> Calibration | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["times_as_fast"]
        return Calibration(**{name: float("nan") if value is None else float(value) for name, value in values.items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(f"{path} cannot be read ({error}); going on without it", stacklevel=2)
        return None
