"""Machines that cannot use the store are named before the first run."""

from __future__ import annotations

from pathlib import Path

from experiments.preflight.node import inspect_node, node_problems
from experiments.storage.store import Store, marked


def test_a_machine_that_cannot_use_the_store_is_named_before_the_first_run(store: Store, tmp_path: Path) -> None:
    with marked(store) as token:
        good = inspect_node(str(tmp_path / "none"), token, storage=store.url)
        other = inspect_node(str(tmp_path / "none"), token, storage=(tmp_path / "another").as_uri())
    assert node_problems(tmp_path, [good], store.url) == []
    [problem] = node_problems(tmp_path, [good, other], store.url)
    assert problem.where == "resources.storage" and other.host in problem.message and "another place" in problem.message
