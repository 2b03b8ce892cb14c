"""Hashes that name things, and seeds derived from names: no global random state anywhere.

A seed is a pure function of what it is for (sweep seed, configuration, fold, epoch, case). A resumed
run therefore draws what the undisturbed one would have drawn, in whatever order things happen.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text on every machine.

    Raises ValueError for NaN and infinities, which JSON cannot name.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, length: int = 12) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of a JSON-like value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    hashed = hashlib.sha256()
    # Not `hashlib.file_digest`, whose small pieces make threads that hash many files wait for each other.
    with path.open("rb", buffering=0) as file:
        while piece := file.read(2**20):
            hashed.update(piece)
    return hashed.hexdigest()


def derive_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) from what it is for, such as ``derive_seed(run_seed, "order", epoch)``."""
    text = canonical_json(list(parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
