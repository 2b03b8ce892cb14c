"""The manifest of a cache: what is in it, and whether it still is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from utils.identity import digest, file_digest

FORMAT_VERSION = 1
"""Raised whenever the files or the way of resizing change; part of every key."""

MANIFEST = "manifest.json"

INSTANCES = "native_instances.u16"
"""The file of instance numbers at the images' own resolution, of datasets that know them."""


def write_manifest(
    folder: Path,
    ids: Sequence[str],
    classes: Sequence[str],
    told: Mapping[str, Sequence[Any]] | None = None,
    each: Callable[[Callable[[Path], str], Sequence[Path]], Iterable[str]] = map,
) -> None:
    """States the size and hash of every file in `folder`, beside ids and classes.

    told: what else is known of the cases, a list in their order for each name. each: `map`, or that of a pool, whose
    threads then hash at the same time.
    """
    paths = sorted(folder.iterdir())
    hashes = zip(paths, each(file_digest, paths), strict=True)
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256} for path, sha256 in hashes}
    manifest: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "opencv": cv2.__version__,
        "ids": list(ids),
        "classes": list(classes),
        "files": files,
        **(told or {}),
    }
    manifest["digest"] = digest(manifest, length=64)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def read_manifest(place: Path) -> dict[str, Any]:
    """The manifest, once the sizes of all files agree with it. Raises ValueError saying what is wrong."""
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        stated = manifest.pop("digest")
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{MANIFEST} is missing or unreadable") from error
    if stated != digest(manifest, length=64):
        raise ValueError(f"{MANIFEST} has been changed")
    for name, file in manifest["files"].items():
        if Path(name).name != name:
            raise ValueError(f"{MANIFEST} names {name!r}, which is no file beside it")
        path = place / name
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise ValueError(f"{name} is missing")
        if size != file["bytes"]:
            raise ValueError(f"{name} has {size:,} bytes instead of {file['bytes']:,}")
    return manifest


def fault_of(place: Path) -> str:
    """What is wrong with a cache, '' if it is sound. Reads all of it: a gigabyte takes about a second."""
    try:
        for name, file in read_manifest(place)["files"].items():
            if file_digest(place / name) != file["sha256"]:
                return f"the bytes of {name} have changed"
    except (OSError, ValueError) as error:
        return str(error)
    return ""
