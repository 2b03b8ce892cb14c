"""The finished sweep of the tests of prediction, and what a trained network can be checked against."""

from __future__ import annotations

import csv
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.explain.__main__ import main

_PREDICTION = runpy.run_path(str(Path(__file__).parents[1] / "prediction" / "conftest.py"))

bench, threads, sweep = (_PREDICTION[name] for name in ("bench", "threads", "sweep"))


@pytest.fixture
def explain(sweep: object, tmp_path: Path) -> Callable[..., int]:
    """The command on the sweep, into ``tmp_path / "out"``; its exit code."""

    def run(*arguments: object) -> int:
        given = [str(argument) for argument in arguments]
        named = [] if "--sweep" in given else ["--sweep", "tiny"]
        results = str(sweep.results)  # type: ignore[attr-defined]
        return main([*named, "--results", results, "--output", str(tmp_path / "out"), "--device", "cpu", *given])

    return run


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[], list[dict[str, str]]]:
    """Reads ``explanations.csv``."""

    def read_rows() -> list[dict[str, str]]:
        with (tmp_path / "out" / "explanations.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read_rows
