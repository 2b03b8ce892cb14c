"""The finished runs of the tests of training, to be opened again."""

from __future__ import annotations

import runpy
from pathlib import Path

_TRAINING = runpy.run_path(str(Path(__file__).parents[1] / "training" / "conftest.py"))

bench, finished, finished_copy, threads = (
    _TRAINING[name] for name in ("bench", "finished", "finished_copy", "threads")
)
