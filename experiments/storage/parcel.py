"""Files that belong together, on their way through a store: put under keys of their own, and named by a manifest.

The manifest is written when all its files are there, so that one that can be read stands for whole files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from experiments.ledger.record import SealedFile, seal
from experiments.storage.store import DamageError, Store
from utils.identity import digest


@dataclass(frozen=True)
class Sent:
    """One file: the key that it lies under, and what is known of its content."""

    key: str
    size: int
    sha256: str

    @property
    def sealed(self) -> SealedFile:
        """As the ledger seals files."""
        return SealedFile(size=self.size, sha256=self.sha256)


@dataclass(frozen=True)
class Parcel:
    """What a manifest says.

    files: name in the folder -> where it lies. of: what the files are of, in words of the sender's.
    """

    files: Mapping[str, Sent]
    of: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """JSON with a checksum."""
        content = {"format": 1, **asdict(self)}
        return (json.dumps({**content, "checksum": digest(content, 64)}, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The inverse of `to_bytes`. Raises DamageError for anything else, and for names and keys that lead outside."""
        try:
            read = json.loads(content)
            if read.pop("checksum") != digest(read, 64) or read.pop("format") != 1:
                raise ValueError
            files = {name: Sent(**sent) for name, sent in read["files"].items()}
            if any(Path(name).name != name or name in ("", "..") for name in files):
                raise ValueError
            if any(".." in sent.key.split("/") for sent in files.values()):
                raise ValueError
            return cls(files, dict(read["of"]))
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise DamageError("a manifest in the store cannot be read") from error

    @classmethod
    def read(cls, store: Store, key: str) -> Self | None:
        """The manifest under a key; None where there is none. Raises DamageError as `from_bytes` does."""
        content = store.read(key)
        return None if content is None else cls.from_bytes(content)


def send(
    store: Store, folder: Path, names: Iterable[str], place: str, sent: Mapping[str, Sent], of: Mapping[str, Any]
) -> Parcel:
    """Puts those of the named files that are in the folder under ``place/``, and answers the manifest.

    sent: files that lie there already, which are not put again while they are the same.
    """
    files = {}
    for name in names:
        if not (folder / name).is_file():
            continue
        sealed = seal(folder / name)
        known = sent.get(name)
        if known is None or known.sealed != sealed:
            known = Sent(f"{place}/{sealed.sha256[:16]}-{name}", sealed.size, sealed.sha256)
            store.put(folder / name, known.key)
        files[name] = known
    return Parcel(files, of)


def receive(store: Store, parcel: Parcel, folder: Path, last: str = "") -> None:
    """Makes the files in the folder those of the parcel, `last` at the end; others there stay.

    Raises DamageError where the store has lost one.
    """
    for name in sorted(parcel.files, key=lambda name: (name == last, name)):
        sent, path = parcel.files[name], folder / name
        if not path.is_file() or path.stat().st_size != sent.size or seal(path) != sent.sealed:
            store.get(sent.key, path, sent.sealed)
