"""Checkpoints: ``last.pt`` to go on from, ``best.pt`` to use. Tensors and plain values, never pickled code."""

from __future__ import annotations

import traceback
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from experiments.training.memory import out_of_memory
from utils.faults import interruption_behind
from utils.files import write_atomically

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a state of tensors, numbers, strings, lists and dicts atomically.

    Raises what the file raised, a full disk or the signal that ends the process.
    """
    write_atomically(path, lambda file: _save({"format": FORMAT, **state}, file))


def _save(state: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(state, file)
    except BaseException as error:
        # The traceback keeps torch's archive alive; let go of after the file is closed, it would abort the process.
        traceback.clear_frames(error.__traceback__)
        # torch closes its archive while the file's exception passes, finds it short and raises its own over it.
        if isinstance(error, RuntimeError) and error.__context__ is not None:
            raise error.__context__ from None
        raise


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state in `path`; None where there is none or it cannot be read, which is said in a warning.

    ``weights_only`` keeps a manipulated file from running code.
    """
    try:
        _check(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # torch raises whatever its zip and unpickling layers meet
        if interruption := interruption_behind(error):
            raise interruption from None
        if out_of_memory(error):
            raise  # the file may well be in order
        warnings.warn(f"{path} cannot be read ({error}); starting without it", stacklevel=2)
        return None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        warnings.warn(f"{path} is not a checkpoint of format {FORMAT}; starting without it", stacklevel=2)
        return None
    return state


def _check(path: Path) -> None:
    """Raises zipfile.BadZipFile unless every checksum in the archive is right: torch writes them, and never looks."""
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged} does not match its checksum")
