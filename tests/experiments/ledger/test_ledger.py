"""A record is read back as it was written, or not at all; locks die with their process."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.ledger import Ledger, Record, SweepLock
from experiments.ledger.record import RECORD_FILE, RecordError, commit, read, seal
from utils.errors import UserError

SEALED = ("epochs.csv", "cases.csv", "best.pt")
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def make_record(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    for name in SEALED:
        (folder / name).write_text(f"{name} of {folder.name}\n")
    values = {
        "sweep": "s", "configuration": folder.parent.name, "fold": int(folder.name.removeprefix("fold-")),
        "status": "complete", "metrics": {"dice": 0.5, "auroc": None}, "code": "1.0.0", "data": "d" * 12,
        "split": "e" * 12, "seed": 7, "files": {name: seal(folder / name) for name in SEALED},
    }  # fmt: skip
    record = Record(**{**values, **changes})
    commit(record, folder)
    return record


def test_a_record_is_read_back(tmp_path):
    ledger = Ledger(tmp_path, "s")
    record = make_record(ledger.folder("abc", 1))
    assert ledger.get("abc", 1) == record
    assert ledger.get("abc", 2) is None
    assert ledger.records([("abc", 1), ("abc", 2)]) == {("abc", 1): record}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metrics=st.dictionaries(st.text(min_size=1), st.none() | FINITE, max_size=5),
    adjustments=st.lists(st.text(), max_size=3),
    error=st.text(),
)
def test_any_content_survives_the_disk(tmp_path, metrics, adjustments, error):
    record = make_record(tmp_path / "abc" / "fold-0", metrics=metrics, adjustments=tuple(adjustments), error=error)
    assert read(tmp_path / "abc" / "fold-0") == record


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), name=st.sampled_from(
    [RECORD_FILE, "epochs.csv", "cases.csv"]))  # fmt: skip
def test_a_flipped_bit_is_noticed(tmp_path, position, bit, name):
    folder = tmp_path / "abc" / "fold-0"
    record = make_record(folder)
    content = bytearray((folder / name).read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    (folder / name).write_bytes(content)
    try:
        read_back = read(folder)
    except RecordError:
        return
    # White space between JSON tokens is the only part that may change unnoticed: the record stays the same.
    assert name == RECORD_FILE
    assert read_back == record


@pytest.mark.parametrize("name", [RECORD_FILE, "epochs.csv", "cases.csv", "best.pt"])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_run_is_set_aside_and_loses_nothing(tmp_path, name, damage):
    ledger = Ledger(tmp_path, "s")
    folder = ledger.folder("abc", 0)
    make_record(folder)
    path = folder / name
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    if (name, damage) == (RECORD_FILE, "remove"):
        assert ledger.get("abc", 0) is None  # a run that has not ended: its checkpoints must stay
        assert (folder / "best.pt").exists()
        return
    with pytest.warns(UserWarning, match="set aside"):
        assert ledger.get("abc", 0) is None
    assert not (folder / RECORD_FILE).exists()
    [aside] = folder.glob("damaged-*")
    assert len(list(aside.iterdir())) == (4 if damage == "truncate" else 3)


def test_a_record_in_the_wrong_folder_is_not_believed(tmp_path):
    ledger = Ledger(tmp_path, "s")
    make_record(ledger.folder("abc", 0), configuration="other")
    with pytest.warns(UserWarning, match="belongs to other"):
        assert ledger.get("abc", 0) is None


def test_a_record_never_leads_out_of_its_folder(tmp_path):
    folder = tmp_path / "abc" / "fold-0"
    make_record(folder)
    (tmp_path / "secret").write_text("")
    for name in ("../../secret", str(tmp_path / "secret"), "..", "sub/best.pt"):
        make_record(folder, files={name: seal(tmp_path / "secret")})
        with pytest.raises(RecordError, match=r"no file beside it|is missing"):
            read(folder)


def test_who_is_to_repeat_failures_does_not_see_their_records(tmp_path):
    make_record(tmp_path / "runs" / "s" / "abc" / "fold-0", status="failed", error="boom", metrics={})
    complete = make_record(tmp_path / "runs" / "s" / "abc" / "fold-1")
    runs = [("abc", 0), ("abc", 1)]
    assert Ledger(tmp_path, "s", failures=False).records(runs) == {("abc", 1): complete}
    assert sorted(Ledger(tmp_path, "s").records(runs)) == runs, "on the disk nothing has changed"


def test_a_forgotten_failure_is_kept_aside(tmp_path):
    ledger = Ledger(tmp_path, "s")
    make_record(ledger.folder("abc", 0), status="failed", error="boom", metrics={})
    make_record(ledger.folder("abc", 1))
    ledger.forget_failure("abc", 0)
    assert ledger.get("abc", 0) is None
    [aside] = ledger.folder("abc", 0).glob("failed-*")
    assert json.loads((aside / RECORD_FILE).read_text())["error"] == "boom"
    with pytest.raises(ValueError, match="has not failed"):
        ledger.forget_failure("abc", 1)


HOLD = """
import sys, time
from pathlib import Path
from experiments.ledger import SweepLock
with SweepLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_driver_is_refused_by_name_and_a_dead_one_is_succeeded(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid} on ") as refused, SweepLock(tmp_path):
            pass
        assert "started 20" in str(refused.value)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(10)
        started = time.monotonic()
        with SweepLock(tmp_path):
            assert time.monotonic() - started < 1
    finally:
        holder.kill()
        holder.wait(10)
