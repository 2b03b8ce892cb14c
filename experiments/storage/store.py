"""A place for files that every machine of a cluster reaches: a bucket, or whatever else fsspec has a URL for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from experiments.ledger.record import SealedFile, seal
from utils.errors import Problem, UserError, nearest
from utils.faults import interruption_behind
from utils.files import disk_full


class StoreError(UserError):
    """The store cannot be reached, or refuses; says what to do about it."""


class DamageError(Exception):
    """What is under a key is not what was put there, or nothing is; says which."""


class Store:
    """Whole files under the keys of a store, such as ``records/a/b.json`` below ``s3://bucket/sweeps``.

    A file appears under its key when it is whole, but for ``file://``, where its beginning can be seen meanwhile. So
    whoever refers to a file tells its seal, and `get` asks for it. Raises StoreError where fsspec has no such URL, or
    lacks a package for it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        protocol = fsspec.core.split_protocol(url)[0] or "file"
        try:
            # What another machine has put there since must be seen.
            self._fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            known = fsspec.available_protocols()
            meant = "" if protocol in known else nearest(protocol, known)
            raise StoreError(_problem(url, f"cannot be opened: {error}", nearest=meant)) from None
        self._root = root.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)

    def check(self) -> None:
        """Raises StoreError unless a file can be created, once, read and deleted there."""
        key, content = f"probe-{secrets.token_hex(8)}", b"probe"
        if not self.create(key, content) or self.create(key, content) or self.read(key) != content:
            raise StoreError(_problem(self.url, "does not keep what is written there"))
        self.delete([key])

    def put(self, path: Path, key: str) -> None:
        """Puts a file under a key, in the place of what is there."""
        with self._reaching():
            self._fs.put_file(str(path), self._place(key))

    def get(self, key: str, path: Path, sealed: SealedFile) -> None:
        """Writes what is under a key to `path`, whole or not at all. Raises DamageError if it is not as sealed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        try:
            with self._reaching():
                try:
                    self._fs.get_file(f"{self._root}/{key}", str(temporary))
                except FileNotFoundError:
                    raise DamageError(f"{key} is not in {self.url} any more") from None
            if seal(temporary) != sealed:
                raise DamageError(f"{key} in {self.url} is not what was put there")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, key: str, content: bytes) -> None:
        """Puts a few bytes under a key, in the place of what is there."""
        with self._reaching():
            self._fs.pipe_file(self._place(key), content)

    def create(self, key: str, content: bytes) -> bool:
        """Puts a few bytes under a key unless something is there; answers whether it did.

        Of several machines that try at once one succeeds: by a link for ``file://``, by a conditional request for S3,
        Google's and Azure's. Elsewhere fsspec looks first and writes then.
        """
        with self._reaching():
            place = self._place(key)
            try:
                if self._local:
                    _create(Path(place), content)
                else:
                    self._fs.pipe_file(place, content, mode="create")
            except FileExistsError:
                return False
        return True

    def read(self, key: str) -> bytes | None:
        """What is under a key; None where there is nothing."""
        with self._reaching():
            try:
                content: bytes = self._fs.cat_file(f"{self._root}/{key}")
            except FileNotFoundError:
                return None
        return content

    def keys(self, folder: str) -> list[str]:
        """All keys that begin with ``folder/``, sorted."""
        with self._reaching():
            try:
                found = self._fs.find(f"{self._root}/{folder}")
            except FileNotFoundError:
                return []
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes what is under these keys; what is not there any more is no fault."""
        for key in keys:
            with self._reaching():
                try:
                    self._fs.rm_file(f"{self._root}/{key}")
                except FileNotFoundError:
                    continue

    def _place(self, key: str) -> str:
        """Where a file is written to. In a bucket there are no folders that would have to be made."""
        place = f"{self._root}/{key}"
        if self._local:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
        return place

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Every library behind fsspec has exceptions of its own for a store that does not answer."""
        try:
            yield
        except Exception as error:
            if interruption := interruption_behind(error):
                raise interruption from None
            if isinstance(error, DamageError) or disk_full(error):
                raise
            reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
            raise StoreError(_problem(self.url, f"cannot be reached: {reason}")) from error


@contextmanager
def marked(store: Store) -> Iterator[str]:
    """A mark in the store for other machines to look for; answers the token that they need."""
    token = secrets.token_hex(8)
    store.write(f"marks/{token}", b"")
    try:
        yield token
    finally:
        store.delete([f"marks/{token}"])


def fault_here(url: str, token: str) -> str:
    """Why this machine cannot use the store in which a mark was put elsewhere; '' if it can."""
    try:
        store = Store(url)
        store.check()
        seen = store.read(f"marks/{token}") is not None
    except StoreError as error:
        return error.problems[0].message
    return "" if seen else "it is another place on this machine: what the driver has put there is not there"


def _create(path: Path, content: bytes) -> None:
    """A file that appears whole and only once. Raises FileExistsError where there is one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _problem(url: str, message: str, **more: Any) -> Problem:
    advice = (
        "every machine needs the store's fsspec package (`pip install s3fs` for s3://, gcsfs for gs://, adlfs for "
        "abfs://), its credentials and the right to read, write and delete there"
    )
    return Problem("resources.storage", f"{message}; {advice}", value=url, **more)
