"""A run's checkpoint files: which there are, what is in which, and which belong together after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.training.checkpoint.file import load, save
from experiments.training.checkpoint.pace import Pace

BEST, PREVIOUS, LAST = "best.pt", "previous.pt", "last.pt"


class Keeper:
    """Writes ``best.pt`` and ``last.pt`` of a run and finds what to go on from.

    A better network than that in ``best.pt`` waits in host memory until ``last.pt`` is written, too: either file alone
    would be of no use. ``previous.pt`` is the ``best.pt`` before, as long as ``last.pt`` asks for it.

    identity: what a checkpoint must agree on with a run that goes on from it.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], device: torch.device, pace: Pace) -> None:
        self._folder, self._identity, self._device, self._pace = folder, dict(identity), device, pace
        self._waiting: dict[str, Any] | None = None
        self._written: int | None = None
        self._at_hand: Mapping[str, Any] | None = None

    @property
    def due(self) -> bool:
        """Whether `write` keeps to the share of time that it may take."""
        return self._pace.due

    def set_best(self, network: nn.Module, epoch: int) -> None:
        """The network after this epoch is the best so far; to be written with the next ``last.pt``.

        It takes the room of the one that waited before: memory that is new to a process costs more than the copy.
        """
        room: Mapping[str, Tensor] = self._waiting["network"] if self._waiting else {}
        state = network.state_dict()  # an ordered dict that knows the versions of modules; kept as such
        for name, value in state.items():
            state[name] = room[name].copy_(value) if name in room else value.to("cpu", copy=True)
        self._waiting = {"network": state, "epoch": epoch}

    def write(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None, ended: bool = False) -> None:
        """``best.pt``, if there is a better one, and ``last.pt``.

        best: network and epoch that are the best, where they are at hand; else what was `set_best`, if anything was.
        ended: there are no more epochs; the state has nothing to go on from.
        """
        with self._pace.writing(whole=not ended):
            best = best or self._waiting
            if best is not None:
                self.write_best(best)
                self._at_hand = best if ended else None
            save(self._folder / LAST, {**state, **self._identity})
        (self._folder / PREVIOUS).unlink(missing_ok=True)

    def write_best(self, best: Mapping[str, Any]) -> None:
        """``best.pt`` alone. best: network and epoch."""
        if self._written == best["epoch"]:
            return  # only last.pt did not get onto the disk
        # A run that is killed before last.pt knows of the new one will ask for the old one.
        with contextlib.suppress(FileNotFoundError):
            (self._folder / BEST).replace(self._folder / PREVIOUS)
        save(self._folder / BEST, {**best, **self._identity})
        self._waiting, self._written = None, best["epoch"]

    def last(self) -> dict[str, Any] | None:
        """What is in ``last.pt``; None without one that can be read."""
        return load(self._folder / LAST, self._device)

    def fault(self, state: Mapping[str, Any]) -> str:
        """Why a run cannot go on from this content of ``last.pt``; empty if it can. Puts its ``best.pt`` back."""
        if any(state.get(key) != self._identity.get(key) for key in ("configuration", "fold", "seed", "lr")):
            return "last.pt is of another run"
        if state["best"] is not None and not self._has_best_of(state["best"][1]):
            # It is damaged or gone: the checkpoint to report is missing.
            return f"best.pt is not that of epoch {state['best'][1]}"
        return ""

    def best(self) -> dict[str, Any] | None:
        """What is in ``best.pt``; None without one that can be read.

        Of one written when the epochs had ended it is what was written: to read it back takes as long as some steps.
        """
        if self._at_hand is not None and (self._folder / BEST).is_file():
            return dict(self._at_hand)
        return load(self._folder / BEST, self._device)

    def _has_best_of(self, epoch: int) -> bool:
        """Whether the best checkpoint is that of an epoch; one that was replaced just before a kill is put back."""
        for name in (BEST, PREVIOUS):
            state = load(self._folder / name, self._device)
            if state is not None and state["epoch"] == epoch:
                (self._folder / name).replace(self._folder / BEST)
                return True
        return False
