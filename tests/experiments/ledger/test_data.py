"""Data and folds that change under a sweep are noticed, and what has changed about them is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from experiments.ledger import Ledger, Record
from experiments.ledger.data import CASES_FOLDER, DATA_FILE, KnownData, SeenData
from experiments.ledger.record import commit
from utils.identity import digest

CASES = {f"benign/{number}": f"content {number}" for number in range(6)}


def seen(cases: Mapping[str, str] = CASES, split: str = "split", words: str = "busi", classes: str = "ab") -> SeenData:
    return SeenData(words, f"{words} in data", digest([dict(cases), classes]), cases, "three folds", split)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """The ledger of a sweep with one record, of the data and the split as they are."""
    ledger = Ledger(tmp_path / "results", "s")
    KnownData(ledger).keep([seen()])
    folder = ledger.folder("0123456789ab", 0)
    given = {"sweep": "s", "configuration": "0123456789ab", "fold": 0, "code": "1", "seed": 1}
    commit(Record(status="complete", data=seen().data, split="split", **given), folder)
    return ledger


def said(ledger: Ledger, *now: SeenData) -> list[str]:
    return [str(problem) for problem in KnownData(ledger).problems(now)]


def test_data_as_they_were_are_no_problem(ledger: Ledger) -> None:
    assert said(ledger, seen()) == []


def test_cases_that_were_added_removed_and_changed_are_counted_and_named(ledger: Ledger) -> None:
    added = {f"normal/{number}": "new" for number in range(4)}
    now = {**{case: content for case, content in CASES.items() if case != "benign/3"}, **added, "benign/1": "other"}
    [problem] = said(ledger, seen(now, split="another, since the data are"))
    assert problem.startswith("dataset: busi in data is not what the results of this sweep are of: ")
    assert "4 cases were added (normal/0, normal/1, normal/2, ...)" in problem
    assert "1 was removed (benign/3), 1 was changed (benign/1). Put the old data back" in problem
    assert "--new-data" in problem and str(ledger.root) in problem


def test_other_classes_of_the_same_cases_are_other_data(ledger: Ledger) -> None:
    [problem] = said(ledger, seen(classes="ba"))
    assert "its classes are others" in problem


def test_other_folds_of_the_same_data_are_noticed(ledger: Ledger) -> None:
    [problem] = said(ledger, seen(split="other"))
    assert problem.startswith("folds: the folds of busi in data are not those that the results of this sweep are of")


def test_what_the_file_says_in_other_words_is_other_data_on_purpose(ledger: Ledger) -> None:
    assert said(ledger, seen({"a": "b"}, words="phantom")) == []


def test_data_may_change_while_there_is_no_result_of_them(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "s")
    KnownData(ledger).keep([seen()])
    assert said(ledger, seen({"a": "b"})) == []


def test_what_is_kept_is_the_measure_from_then_on(ledger: Ledger) -> None:
    now = seen({**CASES, "benign/1": "other"})
    KnownData(ledger).keep([now])
    assert said(ledger, now) == []
    assert said(ledger, seen()) == [], "of the new data there is no result yet: nothing would be mixed"
    record = Record(sweep="s", configuration="ba", fold=0, status="failed", code="1", seed=1, data=now.data, split="s")
    commit(record, ledger.folder("ba", 0))
    [problem] = said(ledger, seen())
    assert "1 case was changed (benign/1)" in problem


def test_keeping_the_same_again_writes_nothing(ledger: Ledger) -> None:
    before = (ledger.root / DATA_FILE).stat().st_mtime_ns
    KnownData(ledger).keep([seen()])
    assert (ledger.root / DATA_FILE).stat().st_mtime_ns == before


def test_a_damaged_memory_knows_nothing_rather_than_something_wrong(ledger: Ledger) -> None:
    path = ledger.root / DATA_FILE
    sound = path.read_bytes()
    for damaged in (b"", sound[:40], sound.replace(seen().data.encode(), b"0" * 12), b"[]", b"\xff"):
        path.write_bytes(damaged)
        assert said(ledger, seen({"a": "b"})) == []
    KnownData(ledger).keep([seen()])
    assert path.read_bytes() == sound


@pytest.mark.parametrize("content", [None, "case,content\nbenign/0,x\n", "\xff"])
def test_without_a_sound_list_of_cases_the_change_is_still_noticed(ledger: Ledger, content: str | None) -> None:
    path = ledger.root / CASES_FOLDER / f"{seen().data}.csv"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="latin-1")
    [problem] = said(ledger, seen({"a": "b"}))
    assert "in which cases is not known" in problem


def test_a_damaged_record_is_no_result(ledger: Ledger) -> None:
    path = ledger.folder("0123456789ab", 0) / "record.json"
    content = json.loads(path.read_text())
    path.write_text("{")
    assert said(ledger, seen({"a": "b"})) == []
    path.write_text(json.dumps(content))
    assert len(said(ledger, seen({"a": "b"}))) == 1
