"""What a sweep with a space has asked for: every draw, written down before its first run begins.

One line of JSON for each, in ``results/runs/<sweep>/proposals.jsonl``. Draws of another space, of another template or
by another sampler have another key and stay where they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROPOSALS_FILE = "proposals.jsonl"


class Proposals:
    """The draws in a ledger's folder; read once, then added to. Only the driver that holds the sweep's lock adds."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / PROPOSALS_FILE
        self._drawn: list[tuple[str, dict[str, Any]]] = []
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        for line in content.splitlines():
            if (read := _read(line)) is not None:
                self._drawn.append(read)
        # What a killed driver, or a full disk, left of its last line: nothing was begun for it.
        self._torn = bool(content) and not content.endswith(b"\n")

    def of(self, *keys: str) -> list[tuple[str, dict[str, Any]]]:
        """Key and drawn values of all draws with one of these keys, in the order of asking."""
        return [(key, dict(drawn)) for key, drawn in self._drawn if key in keys]

    def add(self, key: str, drawn: Mapping[str, Any]) -> None:
        """Writes a draw down, through to the disk."""
        line = json.dumps({"key": key, "drawn": dict(drawn)}, ensure_ascii=False, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(("\n" if self._torn else "").encode() + line.encode())
            file.flush()
            os.fsync(file.fileno())
        self._torn = False
        self._drawn.append((key, dict(drawn)))


def _read(line: bytes) -> tuple[str, dict[str, Any]] | None:
    """Key and drawn values of a line; None for one that is torn."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    sound = isinstance(content, dict) and isinstance(content.get("key"), str) and isinstance(content.get("drawn"), dict)
    return (content["key"], content["drawn"]) if sound else None
