"""The record of one finished run, and how it gets onto the disk exactly once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from utils.files import write_text_atomically
from utils.identity import digest, file_digest

RECORD_FILE = "record.json"
TABLES = ("epochs.csv", "cases.csv")
CHECKPOINT = "best.pt"

# Hashing the checkpoints of a large sweep takes minutes; their size tells truncation at every start.
_HASHED_WHEN_READ = TABLES


class RecordError(Exception):
    """A record, or a file that it seals, is not what was written; says which and why."""


class SealedFile(BaseModel):
    """Size in bytes and SHA-256 of a file at the moment the run was committed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Record(BaseModel):
    """What is known of one configuration on one fold once its run has ended.

    metrics: test metrics of the fold by name; None where a metric is undefined (NaN).
    train_seconds: seconds in epochs, over all attempts; inference_ms: one image, forward only.
    spent: seconds by phase (`experiments.training.history.clock`), over all attempts, but for what a killed one had
    not written down; None in records that are older than this account.
    gpus: how many it occupied, or the share of one; None in records that are older than this figure.
    peak_memory_mb: of the device where it is CUDA, else of the worker process.
    adjustments: what was changed on the way to make the run possible.
    seed: the run's own seed, from which every other one is derived.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    sweep: str
    configuration: str
    fold: int = Field(ge=0)
    status: Literal["complete", "failed"]
    error: str = ""
    metrics: dict[str, float | None] = {}
    validation: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    params_millions: float | None = None
    gflops: float | None = None
    train_seconds: float = 0.0
    spent: dict[str, float] | None = None
    gpus: float | None = None
    inference_ms: float | None = None
    peak_memory_mb: float | None = None
    adjustments: tuple[str, ...] = ()
    code: str
    data: str
    split: str
    seed: int
    device: str = ""
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    started: str = ""
    finished: str = ""
    files: dict[str, SealedFile] = {}


def seal(path: Path) -> SealedFile:
    """Size and hash of a file as it is now."""
    return SealedFile(size=path.stat().st_size, sha256=file_digest(path))


def commit(record: Record, folder: Path) -> None:
    """Writes ``record.json``, the last file of a run, by rename and through to the disk."""
    content = record.model_dump(mode="json")
    text = json.dumps({**content, "checksum": digest(content, 64)}, indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomically(folder / RECORD_FILE, text + "\n", durable=True)


def read(folder: Path) -> Record | None:
    """The record in a run's folder, checked against its own checksum and the files that it seals.

    Returns None where there is none. Raises RecordError if it or a sealed file is damaged.
    """
    path = folder / RECORD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise RecordError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict) or content.pop("checksum", None) != digest(content, 64):
        raise RecordError(f"{path} does not match its checksum")
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise RecordError(f"{path} is not a record of format 1: {error}") from error
    for name, sealed in record.files.items():
        if Path(name).name != name:
            raise RecordError(f"{path} seals {name!r}, which is no file beside it")
        _check(folder / name, sealed)
    return record


def _check(path: Path, sealed: SealedFile) -> None:
    if not path.is_file():
        raise RecordError(f"{path} is missing")
    if path.stat().st_size != sealed.size:
        raise RecordError(f"{path} has {path.stat().st_size} bytes instead of {sealed.size}")
    if path.name in _HASHED_WHEN_READ and file_digest(path) != sealed.sha256:
        raise RecordError(f"{path} does not match its checksum")
