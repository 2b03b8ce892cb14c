from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.accounting.balance import IDLE, LABELS, Balance, balance, saved_by_racing, spent_in
from experiments.accounting.sessions import Session
from experiments.accounting.wording import slot_time
from experiments.ledger import Record
from experiments.training.history.clock import PHASES

SECONDS = st.floats(0, 1e6)
SESSIONS = st.lists(st.builds(Session, st.just(""), SECONDS, st.integers(1, 64)), min_size=1, max_size=4)
SPENT = st.lists(st.dictionaries(st.sampled_from(PHASES), SECONDS), max_size=4)


def record(configuration: str, fold: int, **known: Any) -> Record:
    origin = {"sweep": "s", "code": "1", "data": "d", "split": "s", "seed": 1, "status": "complete"}
    return Record(configuration=configuration, fold=fold, **{**origin, **known})


@settings(max_examples=60, deadline=None)
@given(SESSIONS, SPENT)
def test_every_slot_second_is_accounted_for_once(sessions: list[Session], spent: list[dict[str, float]]) -> None:
    found = balance(sessions, spent)
    assert found is not None
    there, taken = (math.fsum(each) for each in ([s.slots * s.seconds for s in sessions], _all(spent)))
    assert found.slot_seconds == pytest.approx(max(there, taken))
    assert found.seconds[IDLE] == pytest.approx(max(0.0, there - taken), abs=1e-3)
    assert sum(found.shares().values()) == pytest.approx(1 if found.slot_seconds else 0)


def _all(spent: list[dict[str, float]]) -> list[float]:
    return [seconds for run in spent for seconds in run.values()]


def test_two_slots_for_ten_seconds_and_a_run_of_eight_leave_twelve_idle() -> None:
    found = balance([Session("", 10, 2)], [{"training": 6.0, "validation": 1.0, "start_up": 1.0}])
    assert found is not None and found.slot_seconds == 20
    assert found.shares() == {"training": 0.3, "validation": 0.05, "start_up": 0.05, IDLE: 0.6}
    assert found.efficiency == pytest.approx(0.35)


def test_without_a_session_there_is_nothing_to_balance() -> None:
    assert balance([], [{"training": 6.0}]) is None


def test_energy_is_that_of_the_sessions_in_which_it_was_measured() -> None:
    some = [Session("", 1, 1, 500.0), Session("", 1, 1), Session("", 1, 1, 250.0)]
    assert [balance(each, []).joules for each in (some, some[1:2])] == [750.0, None]  # type: ignore[union-attr]


def test_racing_saves_what_the_runs_that_were_never_begun_would_have_taken() -> None:
    records = {
        ("out", 0): record("out", 0, spent={"training": 8.0, "start_up": 2.0}),
        ("old", 0): record("old", 0, train_seconds=7.0),
        ("old", 1): record("old", 1, train_seconds=9.0),
        ("early", 0): record("early", 0, status="failed", train_seconds=3.0),
        ("in", 0): record("in", 0, train_seconds=100.0),
    }
    assert saved_by_racing({"out": 3}, records) == 20.0
    assert saved_by_racing({"old": 3}, records) == 8.0
    assert saved_by_racing({"early": 3}, records) == 0.0, "nobody knows"
    assert saved_by_racing({"out": 3, "old": 3, "early": 3}, records) == 28.0


def test_records_that_were_set_aside_count_and_those_without_an_account_do_not(tmp_path: Path) -> None:
    places = {"a/fold-0": {"training": 1.0}, "a/fold-0/failed-1": {"data": 2.0}, "gone/fold-1": None, "b/fold-2": []}
    for place, spent in places.items():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "record.json").write_text(json.dumps({"spent": spent}))
    (tmp_path / "a/fold-1").mkdir()
    (tmp_path / "a/fold-1/record.json").write_text('{"spent": ')
    (tmp_path / "a/record.json").write_text('{"spent": {"training": 9}}')
    assert sorted(spent_in(tmp_path), key=str) == [{"data": 2.0}, {"training": 1.0}]


def test_the_line_names_shares_slots_savings_and_energy() -> None:
    seconds = {"training": 9_000.0, "validation": 690.0, "start_up": 20.0, IDLE: 1_810.0}
    assert slot_time(Balance((2,), seconds)) == (
        "Slot time: 3 h 12 min on 2 slots: training 78 %, validation 6 %, idle 16 %"
    )
    raced = slot_time(Balance((1, 4), {"training": 1.0}, saved=18_600, joules=1.8e6))
    assert raced == (
        "Slot time: 1 s on 1 to 4 slots: training 100 %; racing saved an estimated 5 h 10 min; "
        "the GPUs of the driver's machine took 0.5 kWh"
    )
    assert "on 1 slot:" in slot_time(Balance((1, 1), {"training": 1.0}))


def test_every_phase_has_its_name() -> None:
    assert list(LABELS) == [*PHASES, IDLE] and LABELS["start_up"] == "start-up"
