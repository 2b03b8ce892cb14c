"""Stores, machines that share nothing else, and the tiny runs of the tests of training."""

from __future__ import annotations

import importlib.util
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from experiments.storage.provisions import FOLDER_VARIABLE, Provider
from experiments.storage.store import Store
from experiments.storage.stored_run import StoredRun
from experiments.training.spec import RunSpec

_TRAINING = runpy.run_path(str(Path(__file__).parents[1] / "training" / "conftest.py"))

bench, threads = (_TRAINING[name] for name in ("bench", "threads"))


NO_S3 = [name for name in ("s3fs", "moto", "flask_cors") if importlib.util.find_spec(name) is None]
_S3 = pytest.param("s3", marks=pytest.mark.skipif(bool(NO_S3), reason=f"not installed: {', '.join(NO_S3)}"))


@pytest.fixture(params=["file", "memory", _S3])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "file":
        yield Store((tmp_path / "store").as_uri())
    elif request.param == "s3":
        yield Store(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")
    else:
        yield Store("memory://sweeps")
        fsspec.filesystem("memory").store.clear()


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The URL of a bucket on an S3 server of its own on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("sweeps")
        yield "s3://sweeps"
    server.stop()


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    """An empty store whose files can be looked at."""
    return Store((tmp_path / "store").as_uri())


class Machine:
    """A machine with a disk of its own; what is one run there."""

    def __init__(self, folder: Path) -> None:
        self.results = folder
        self.run = folder / "runs" / "tiny" / "aaaa" / "fold-0"
        self.run.mkdir(parents=True)

    def stored(self, store: Store) -> StoredRun:
        """The run, as an attempt on this machine sees it."""
        return StoredRun(store, "tiny", "aaaa", 0, self.run)

    def train(self, epochs: int, mark: str = "") -> None:
        """Leaves what a run leaves after so many epochs; mark: tells one machine's files from another's."""
        (self.run / "last.pt").write_text(f"last of {epochs} {mark}")
        (self.run / "best.pt").write_text(f"best of 1 {mark}")
        (self.run / "epochs.csv").write_text("epoch\n" + "".join(f"{epoch}\n" for epoch in range(1, epochs + 1)))

    def files(self) -> dict[str, str]:
        """Name -> content of what is in the run's folder, but for locks and marks."""
        unseen = ("run.lock", "stored.json")
        return {path.name: path.read_text() for path in self.run.iterdir() if path.name not in unseen}


@pytest.fixture
def machines(tmp_path: Path) -> list[Machine]:
    """Three machines, the first of which the driver is on."""
    return [Machine(tmp_path / name) for name in ("driver", "second", "third")]


@pytest.fixture
def spec(bench: Any, machines: list[Machine], folder_store: Store) -> RunSpec:
    """A run of four epochs as the driver, on the first machine, describes it; what it reads is in the store."""
    spec = replace(bench.spec(machines[0].run), configuration="aaaa", storage=folder_store.url)
    for path in (spec.cache, spec.split_file):
        Provider(folder_store).put(path)
    return spec


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes this process one of a machine."""

    def go(machine: Machine) -> None:
        monkeypatch.setenv(FOLDER_VARIABLE, str(machine.results))

    return go
