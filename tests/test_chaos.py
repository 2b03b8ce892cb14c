"""The short form of ``python -m tests.chaos``: a sweep of four runs under a few faults comes to the same results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_a_sweep_under_faults_comes_to_the_same_results() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--minutes", "0.5", "--short"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=800)
    print(ended.stdout)  # the seed and the faults, for whoever has to find out
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counted = re.search(r"^(\d+) faults in \d+ sweeps, seed \d+: nothing lost", ended.stdout, re.MULTILINE)
    assert counted is not None and int(counted[1]) >= 1
