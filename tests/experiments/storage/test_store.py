"""Whole files under keys, for every kind of store alike; and what is said of a store that is none."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments.ledger.record import seal
from experiments.preflight.node import inspect_node, node_problems
from experiments.storage.store import DamageError, Store, StoreError, fault_here, marked


def test_what_is_put_is_got_by_its_key(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_bytes(bytes(range(256)) * 1000)
    store.put(source, "a/b/c.pt")
    store.get("a/b/c.pt", target, seal(source))
    assert target.read_bytes() == source.read_bytes()
    source.write_bytes(b"new")
    store.put(source, "a/b/c.pt")
    assert store.read("a/b/c.pt") == b"new"


@pytest.mark.parametrize("there", [b"another", b"", None])
def test_what_is_not_as_it_was_put_is_not_taken(store: Store, tmp_path: Path, there: bytes | None) -> None:
    source, target = tmp_path / "source", tmp_path / "target" / "file"
    source.write_bytes(b"content")
    target.parent.mkdir()
    target.write_bytes(b"old")
    if there is not None:
        store.write("key", there)
    with pytest.raises(DamageError, match="key"):
        store.get("key", target, seal(source))
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_of_many_that_create_a_key_at_once_one_does(store: Store) -> None:
    contents = [f"{number}".encode() * 1000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda content: store.create("once/only", content), contents))
    assert sum(done) == 1
    assert store.read("once/only") == contents[done.index(True)]
    assert store.keys("once") == ["once/only"]


def test_keys_are_those_of_the_folder_alone(store: Store) -> None:
    for key in ("a/1", "a/b/2", "ab/3", "c"):
        store.write(key, b"")
    assert store.keys("a") == ["a/1", "a/b/2"]
    assert store.keys("nothing") == []
    store.delete(["a/1", "a/never"])
    assert store.keys("a") == ["a/b/2"]
    assert store.read("a/1") is None


def test_a_check_leaves_nothing(store: Store) -> None:
    store.write("records/x", b"")
    store.check()
    assert store.keys("records") == ["records/x"]
    assert not [key for key in store.keys("") if "probe" in key]


def test_a_store_that_cannot_be_written_to_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    url = (tmp_path / "file" / "store").as_uri()
    with pytest.raises(StoreError) as caught:
        Store(url).check()
    [problem] = caught.value.problems
    assert problem.where == "resources.storage" and problem.value == url
    assert "cannot be reached" in problem.message and "credentials" in problem.message


def test_an_unknown_kind_of_store_is_named_with_the_nearest() -> None:
    with pytest.raises(StoreError) as caught:
        Store("memry://sweeps")
    [problem] = caught.value.problems
    assert problem.where == "resources.storage" and problem.nearest == "memory"


@pytest.mark.skipif(importlib.util.find_spec("gcsfs") is not None, reason="the package is there")
def test_a_store_whose_package_is_missing_says_what_to_install() -> None:
    with pytest.raises(StoreError, match="gcsfs"):
        Store("gs://bucket/sweeps")


def test_a_machine_that_sees_the_mark_can_use_the_store_and_others_say_why_not(store: Store, tmp_path: Path) -> None:
    with marked(store) as token:
        assert fault_here(store.url, token) == ""
        assert "another place" in fault_here((tmp_path / "own").as_uri(), token)
        assert "cannot be opened" in fault_here("memry://sweeps", token)
    assert store.keys("marks") == []


def test_a_machine_that_cannot_use_the_store_is_named_before_the_first_run(store: Store, tmp_path: Path) -> None:
    with marked(store) as token:
        good = inspect_node(str(tmp_path / "none"), token, storage=store.url)
        other = inspect_node(str(tmp_path / "none"), token, storage=(tmp_path / "another").as_uri())
    assert node_problems(tmp_path, [good], store.url) == []
    [problem] = node_problems(tmp_path, [good, other], store.url)
    assert problem.where == "resources.storage" and other.host in problem.message and "another place" in problem.message
