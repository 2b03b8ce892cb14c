from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.sweep import Sweep, load_sweep
from utils.errors import Problem, UserError

Load = Callable[..., Sweep]
Problems = Callable[..., list[Problem]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a sweep from its text; further files by name, overrides as arguments."""

    def load(text: str, *overrides: str, demo: bool = False, **files: str) -> Sweep:
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return load_sweep(path, overrides, demo=demo)

    return load


@pytest.fixture
def problems(load: Load, tmp_path: Path) -> Problems:
    """The problems of a text that must have some; sources without the folder."""

    def problems(text: str, *overrides: str, **files: str) -> list[Problem]:
        with pytest.raises(UserError) as raised:
            load(text, *overrides, **files)
        return list(raised.value.problems)

    return problems
