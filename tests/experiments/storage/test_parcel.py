"""Manifests: what was sent is what is received, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.storage.parcel import Parcel, Sent, receive, send
from experiments.storage.store import DamageError, Store
from utils.identity import digest

PARCEL = Parcel({"best.pt": Sent("a/b-best.pt", 3, "0" * 64)}, {"line": "x", "epochs": 3})


def test_only_what_has_changed_is_put_again(folder_store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "best.pt").write_text("best")
    (source / "last.pt").write_text("last")
    first = send(folder_store, source, ("best.pt", "last.pt", "none.csv"), "run", {}, {})
    assert sorted(first.files) == ["best.pt", "last.pt"]
    folder_store.delete([first.files["best.pt"].key])
    (source / "last.pt").write_text("later")
    second = send(folder_store, source, ("best.pt", "last.pt"), "run", first.files, {})
    assert second.files["best.pt"] == first.files["best.pt"]
    assert folder_store.read(first.files["best.pt"].key) is None, "it was put again"
    (target).mkdir()
    (target / "best.pt").write_text("best")  # it is not fetched either
    (target / "mine").write_text("mine")
    receive(folder_store, second, target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {
        **{"best.pt": "best", "last.pt": "later", "mine": "mine"}
    }


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert Parcel.from_bytes(PARCEL.to_bytes()) == PARCEL


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_manifest_is_none(data: st.DataObject) -> None:
    content = bytearray(PARCEL.to_bytes().rstrip())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        position, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
        content[position] ^= 1 << bit
    try:
        read = Parcel.from_bytes(bytes(content))
    except DamageError:
        return
    assert read == PARCEL, "only a space may be another character of no meaning"


@pytest.mark.parametrize(
    ("name", "key"),
    [("../best.pt", "a"), ("/etc/x", "a"), ("", "a"), ("..", "a"), ("best.pt", "../../x"), ("best.pt", "a/../../x")],
)
def test_names_that_lead_out_of_the_folder_are_refused(name: str, key: str) -> None:
    content = {"format": 1, "files": {name: {"key": key, "size": 1, "sha256": "0"}}, "of": {}}
    with pytest.raises(DamageError):
        Parcel.from_bytes(json.dumps({**content, "checksum": digest(content, 64)}).encode())
