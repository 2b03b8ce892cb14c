"""Checkpoints: ``last.pt`` to go on from, ``best.pt`` to use. Tensors and plain values, never pickled code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from utils.files import write_atomically

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a state of tensors, numbers, strings, lists and dicts atomically.

    Raises what the file raised, a full disk or the signal that ends the process.
    """
    try:
        write_atomically(path, lambda file: torch.save({"format": FORMAT, **state}, file))
    except RuntimeError as error:
        # torch closes its archive while that exception passes, finds it short and raises its own over it.
        if error.__context__ is not None:
            raise error.__context__ from None
        raise


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state in `path`; None where there is none or it cannot be read, which is said in a warning.

    ``weights_only`` keeps a manipulated file from running code.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # torch raises whatever its zip and unpickling layers meet
        warnings.warn(f"{path} cannot be read ({error}); starting without it", stacklevel=2)
        return None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        warnings.warn(f"{path} is not a checkpoint of format {FORMAT}; starting without it", stacklevel=2)
        return None
    return state
