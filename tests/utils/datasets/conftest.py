"""Miniatures of every dataset that lies in a folder, each written once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.datasets.miniatures import write_miniature

PATIENTS = 6


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a dataset -> the folder of its miniature, which is not to be changed."""
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            written[name] = write_miniature(name, tmp_path_factory.mktemp("miniature") / name, PATIENTS)
        return written[name]

    return folder


@pytest.fixture
def copied(miniature: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Name of a dataset -> a copy of its miniature, to be damaged."""
    return lambda name: Path(shutil.copytree(miniature(name), tmp_path / name))
