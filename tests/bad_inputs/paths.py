"""Names and paths that lead elsewhere, and results folders that are none."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

from tests.bad_inputs.bad_input import BadInputs, Make, sweep
from tests.bad_inputs.data import SWEEP

bad = BadInputs("s_audit.csv")
_LETTERS = "may hold letters, digits, and _ - . between them"


def _named(name: str) -> Make:
    return lambda folder: sweep(folder, f"name: {json.dumps(name)}\n")


def _encoder_of(reference: str) -> Make:
    return lambda folder: sweep(folder, f"name: s\nmodel: {{encoder: {json.dumps(reference)}}}\n")


for _what, _name in {
    "above": "../outside/s",
    "absolute": "/tmp/s",
    "below": "runs/s",
    "of_the_folder_itself": "..",
    "hidden": ".s",
    "with_a_nul": "s\0",
    "with_a_newline": "s\n",
    "with_a_backslash": "..\\s",
    "of_another_alphabet": "Schilddrüse",
    "of_nothing": "",
}.items():
    bad.add(f"name_{_what}", _named(_name), ("name (sweep.yaml:1)", _LETTERS, f"got {_name!r}"))
bad.add("name_of_300_letters", _named("s" * 300), ("name (sweep.yaml:1)", "must have at most 80 characters; got 'sss"))


for _ending in ("folds", "epochs", "cases", "audit", "classification"):
    _name = f"s_{_ending}"
    _why = (f"must not end in _{_ending}: {_name} is a table of the sweep s", f"got {_name!r}")
    bad.add(f"name_of_the_{_ending}_of_another_sweep", _named(_name), ("name (sweep.yaml:1)", *_why))


_LEADERBOARD = "rank,configuration,status,folds,dice_mean,tied_with_best,params_millions\n"
_REFERENCE = "${winner:encoders.model.encoder}"


def _after(leaderboard: str | bytes, record: str = "") -> Make:
    """A sweep that refers to the winner of another one, of which this leaderboard and this record are there."""

    def make(folder: Path) -> None:
        run = folder / "results" / "runs" / "encoders" / "0123456789ab" / "fold-0"
        run.mkdir(parents=True)
        (run.parents[1] / "outcome.json").write_text('{"complete": true, "configurations": 1, "runs": 1, "failed": 0}')
        text = leaderboard.encode() if isinstance(leaderboard, str) else leaderboard
        (folder / "results" / "encoders.csv").write_bytes(text)
        (run / "record.json").write_text(record)
        _encoder_of(_REFERENCE)(folder)

    return make


for _what, (_name, _why) in {
    "above": ("${winner:../outside/s.model.encoder}", "'../outside/s' is no name of a sweep"),
    "absolute": ("${winner:/etc/passwd.model.encoder}", "'/etc/passwd' is no name of a sweep"),
    "of_the_folder_itself": ("${winner:..model.encoder}", "'.' is no name of a sweep"),
    "with_a_nul": ("${winner:s\0.model.encoder}", "is no name of a sweep"),
}.items():
    bad.add(f"reference_{_what}", _encoder_of(_name), ("model.encoder (sweep.yaml:2)", _why))

_TIED = f"{_LEADERBOARD}%s,%s,complete,1,0.5,true,3\n"
for _what, (_table, _why) in {
    "that_is_empty": ("", "encoders.csv"),
    "of_binary_garbage": (b"rank,configuration,status,\xff\xfe\x00\x80", "encoders.csv"),
    "whose_rank_is_a_word": (_TIED % ("first", "0123456789ab"), "encoders.csv"),
    "that_leads_out_of_its_folder": (_TIED % ("1", "../../../../outside"), "encoders.csv"),
    "that_leads_anywhere": (_TIED % ("1", "/etc"), "encoders.csv"),
    "of_a_configuration_with_a_nul": (_TIED % ("1", "a\0b"), "encoders.csv"),
    "whose_record_is_damaged": (_TIED % ("1", "0123456789ab"), "the winner's record is damaged"),
    "whose_record_is_missing": (_TIED % ("1", "ba9876543210"), "the winner's record in"),
    "of_which_nothing_is_ranked": (f"{_LEADERBOARD},0123456789ab,failed,1,,false,\n", "encoders has no winner"),
    "that_is_not_complete": (f"{_LEADERBOARD},0123456789ab,running,1,,false,\n", "encoders is not complete"),
}.items():
    bad.add(f"leaderboard_{_what}", _after(_table, "{]"), ("model.encoder (sweep.yaml:2)", _why, "python run_sweep.py"))


def _results(path: str) -> Make:
    def make(folder: Path) -> list[str]:
        sweep(folder, SWEEP)
        return ["sweep.yaml", "--results", path]

    return make


_UNWRITABLE = ("--results", "cannot be written to", "name another with --results")
bad.add("results_in_a_file", _results("sweep.yaml"), (*_UNWRITABLE, "Not a directory", "here/sweep.yaml'"))
bad.add("results_below_a_file", _results("sweep.yaml/results"), (*_UNWRITABLE, "sweep.yaml/results'"))
bad.add("results_where_nothing_can_be_written", _results("/proc/results"), (*_UNWRITABLE, "'/proc/results'"))
bad.add("results_with_a_nul", _results("results\0"), (*_UNWRITABLE, "embedded null byte", "results\\x00'"))
bad.add("results_of_five_thousand_letters", _results("r" * 5000), (*_UNWRITABLE, "File name too long", "rrr...'"))


def _planned(path: str) -> Make:
    def make(folder: Path) -> list[str]:
        sweep(folder, SWEEP)
        return ["sweep.yaml", "--results", path, "--plan"]

    return make


_UNREADABLE = ("--results", "cannot be read", "name another with --results")
bad.add("plan_with_results_in_a_file", _planned("sweep.yaml"), (*_UNREADABLE, "Not a directory", "got 'sweep.yaml'"))
bad.add("plan_with_results_below_a_file", _planned("sweep.yaml/results"), (*_UNREADABLE, "got 'sweep.yaml/results'"))
bad.add("plan_with_results_with_a_nul", _planned("results\0"), (*_UNREADABLE, "embedded null byte", "results\\x00'"))


def _root(path: str) -> Make:
    return lambda folder: sweep(folder, SWEEP.replace("root: data", f"root: {json.dumps(path)}"))


_EXPECTED = "benign/, malignant/, normal/ with <name>.png"
bad.add("data_that_are_not_there", _root("dta"), ("dataset.root", "no such folder", _EXPECTED, "got 'dta'"))
bad.add("data_that_are_a_file", _root("sweep.yaml"), ("dataset.root", "not a folder", "got 'sweep.yaml'"))
bad.add("data_without_the_layout", _root("data/benign"), ("dataset.root", "no benign/, malignant/, normal/"))
bad.add("data_with_a_nul", _root("data\0"), ("dataset.root", "got 'data\\x00'"))
bad.add("data_of_five_thousand_letters", _root("d" * 5000), ("dataset.root", "too long"))


def _weights(path: str) -> Make:
    return lambda folder: sweep(folder, SWEEP.replace("weights: none", f"weights: {json.dumps(path)}"))


# What is wrong with weights is said together with all that can be known before the first run.
_NOBODY = ("--address", "no Ray cluster can be joined there")
_NO_FILE = ("model.encoder_weights", "no such file")
bad.add("weights_that_are_not_there", _weights("./no.pt"), (*_NO_FILE, "got 'no.pt'"), _NOBODY)
bad.add("weights_that_are_a_folder", _weights("data/"), _NO_FILE, _NOBODY)
bad.add(
    "weights_that_are_text",
    _weights("sweep.yaml"),
    ("model.encoder_weights", "cut short, or not written by torch"),
    _NOBODY,
)
bad.add("weights_with_a_nul", _weights("./a\0b.pt"), ("model.encoder_weights",), _NOBODY)


_IMPOSSIBLE = SWEEP.replace("model: {", "model: {decoder: deeplabv3plus, ").replace("tu-mobilenetv3_small_050", "vgg11")
bad.add(
    "network_that_can_never_be_trained",
    lambda folder: sweep(folder, _IMPOSSIBLE),
    ("configuration base: can never run: ", "output stride", "--skip-impossible"),
    _NOBODY,
)


@bad(("model.encoder_weights", "only tensors and plain values are loaded", "got 'evil.pt'"), _NOBODY)
def weights_that_run_a_command(folder: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch '{folder}/harmed'",)

    (folder / "evil.pt").write_bytes(pickle.dumps({"weight": Evil()}, protocol=2))
    _weights("./evil.pt")(folder)
