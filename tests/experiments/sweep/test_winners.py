from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.ledger.outcome import OUTCOME_FILE, read_outcome, write_outcome
from experiments.sweep import Sweep, load_sweep, nested
from experiments.sweep.file.references import Stages
from utils.errors import Problem, UserError


@pytest.fixture
def load(results: Any) -> Callable[..., Sweep]:
    """Loads the text of a sweep file with the winners in `results`."""

    def load(text: str, *overrides: str, demo: bool = False, stages: Stages | None = None) -> Sweep:
        path = Path("later.yaml")
        path.write_text(f"name: later\n{text}\n", encoding="utf-8")
        return load_sweep(path, overrides, demo, results.folder, stages)

    return load


@pytest.fixture
def problem(load: Callable[..., Sweep]) -> Callable[..., Problem]:
    """The only problem of a text."""

    def problem(text: str, *overrides: str, **options: Any) -> Problem:
        with pytest.raises(UserError) as raised:
            load(text, *overrides, **options)
        [found] = raised.value.problems
        return found

    return problem


def encoder(of: Any) -> Any:
    """The encoder of a sweep or of a configuration, in its normal form."""
    return nested(of.settings)["model"]["encoder"]


ENCODER = "model: {encoder: '${winner:encoders.model.encoder}'}"
FALLBACK = "model: {encoder: '${winner:encoders.model.encoder:-efficientnet-b6}'}"
COMMAND = "python run_sweep.py <the file of encoders>"


@pytest.mark.parametrize(
    ("rows", "winner"),
    [
        ([("resnet50", 25, True), ("resnet18", 11, True), ("mobilenet_v2", 2, False)], "resnet18"),
        ([("resnet50", 25, True), ("resnet18", 11, False)], "resnet50"),
        ([("resnet50", 11, True), ("resnet34", 11, True), ("resnet18", 11, True)], "resnet50"),
        ([("resnet50", "", True), ("resnet34", 21.5, True), ("resnet18", 21.51, True)], "resnet34"),
    ],
    ids=["smallest of the tied", "nothing tied", "equal sizes: the better rank", "size unknown"],
)
def test_the_smallest_of_those_tied_with_the_best_wins(results: Any, load: Any, rows: Any, winner: str) -> None:
    results.add("encoders", *({"encoder": name, "params": size, "tied": tied} for name, size, tied in rows))
    sweep = load(ENCODER)
    assert encoder(sweep) == winner
    assert [encoder(c) for c in sweep.configurations] == [winner]


def test_rows_without_a_rank_never_win(results: Any, load: Any) -> None:
    results.add("encoders", {"encoder": "resnet50", "params": 25}, {"status": "failed", "params": 1, "tied": True})
    assert encoder(load(ENCODER)) == "resnet50"


def test_what_was_resolved_is_told(results: Any, load: Any) -> None:
    results.add("encoders", *({"encoder": f"resnet{n}", "params": n, "tied": n < 50} for n in (34, 18, 50)))
    text = "search: {grid: {model.encoder: [vgg11, '${winner:encoders.model.encoder}']}}\nmodel: {decoder: fpn}"
    assert load(text).references == (
        "search.grid.model.encoder[1] = resnet18, the winner of encoders"
        " (results/encoders.csv; 2 tied, the one with the fewest parameters)",
    )
    assert load("model: {encoder: resnet18}").references == ()
    results.add("encoders", {"encoder": "resnet50"}, {"encoder": "resnet18", "tied": False})
    told = "model.encoder = resnet50, the winner of encoders (results/encoders.csv; no other is tied with it)"
    assert load(ENCODER).references == (told,)


def test_a_reference_may_stand_wherever_a_value_may(results: Any, load: Any) -> None:
    decoder = {"unet": {"attention": "scse"}}
    training = {"lr": 0.002, "augmentation": ["flip"], "segmentation_loss": {"focal": {"gamma": 3}}}
    results.add("first", {"encoder": "resnet18", "model": {"decoder": decoder}, "training": training})
    sweep = load(
        """
model: {decoder: '${winner:first.model.decoder}'}
training:
  augmentation: ${winner:first.training.augmentation}
  segmentation_loss: {focal: {gamma: '${winner:first.training.segmentation_loss.focal.gamma}'}}
search:
  grid: {model.encoder: [vgg11, '${winner:first.model.encoder}']}
  cases: [{name: a, training.lr: '${winner:first.training.lr}'}, {name: b, training.lr: 1.0e-5}]
  exclude: [{model.encoder: '${winner:first.model.encoder}', training.lr: '${winner:first.training.lr}'}]
"""
    )
    values = [(encoder(c), c.settings.training.lr) for c in sweep.configurations]
    assert values == [("vgg11", 0.002), ("vgg11", 1e-5), ("resnet18", 1e-5)]
    for settings in (nested(c.settings) for c in sweep.configurations):
        assert settings["model"]["decoder"]["unet"]["attention"] == "scse"
        assert settings["training"]["segmentation_loss"]["focal"]["gamma"] == 3
        assert list(settings["training"]["augmentation"][0]) == ["flip"]
    assert encoder(load("", "model.encoder=${winner:first.model.encoder}")) == "resnet18"


def test_the_id_holds_the_value_and_nothing_of_where_it_came_from(results: Any, load: Any) -> None:
    results.add("encoders", {"encoder": "vgg11", "model": {"decoder": {"unet": {"attention": "scse"}}}})
    text = "model: {encoder: '${winner:encoders.model.encoder}', decoder: '${winner:encoders.model.decoder}'}"
    [ours] = load(text).configurations
    [theirs] = load("model: {encoder: vgg11, decoder: {unet: {attention: scse}}}").configurations
    assert ours.id("d", "s", "1") == theirs.id("d", "s", "1")


def test_a_record_from_before_a_setting_was_added_has_its_default(results: Any, load: Any, problem: Any) -> None:
    results.add("encoders", {"settings": {"model": {"encoder": "vgg11", "decoder": "unet"}}})
    assert load("training: {lr: '${winner:encoders.training.lr}'}").settings.training.lr == 3e-4
    attention = "model: {decoder: {unet: {attention: '${winner:encoders.model.decoder.unet.attention}'}}}"
    assert load(attention).settings.model.decoder == load("model: {decoder: unet}").settings.model.decoder
    results.add("encoders", {"settings": {"model": {"encoder": "vgg11", "decoder": "gone"}}})
    assert encoder(load(ENCODER)) == "vgg11"
    found = problem("model: {decoder: '${winner:encoders.model.decoder}'}")
    assert found.message == "no such decoder" and found.value == "gone"
    found = problem("training: {lr: '${winner:encoders.training.lr}'}")
    assert "has no training.lr" in found.message


def test_a_grid_that_has_the_winner_already_has_it_once(results: Any, load: Any) -> None:
    results.add("encoders", {"encoder": "resnet18"})
    text = "search: {{grid: {{model.{}: [{}]}}}}"
    encoders = load(text.format("encoder", "'${winner:encoders.model.encoder}', vgg11, resnet18"))
    assert [encoder(c) for c in encoders.configurations] == ["vgg11", "resnet18"]
    assert encoders.references[0].startswith("search.grid.model.encoder[0] = resnet18, ")
    assert encoders.references[0].endswith("; it stands there already")
    decoders = load(text.format("decoder", "unet, '${winner:encoders.model.decoder}', fpn"))
    assert [c.settings.model.decoder.name for c in decoders.configurations] == ["unet", "fpn"]
    mixed = load(text.format("decoder", "{unet: {attention: scse}}, '${winner:encoders.model.decoder}', {fpn: {}}"))
    assert [c.settings.model.decoder.name for c in mixed.configurations] == ["unet", "unet", "fpn"]


def test_cases_that_the_winner_makes_equal_are_one(results: Any, load: Any) -> None:
    results.add("encoders", {"encoder": "resnet18"})
    cases = "[{name: plain, model.encoder: resnet18}, {name: won, model.encoder: '${winner:encoders.model.encoder}'}]"
    assert [c.name for c in load(f"search: {{cases: {cases}}}").configurations] == ["plain"]


def test_names_may_hold_dots(results: Any, load: Any, problem: Any) -> None:
    results.add("my.first.model", {"encoder": "vgg11"})
    assert encoder(load("model: {encoder: '${winner:my.first.model.model.encoder}'}")) == "vgg11"
    found = problem("model: {encoder: '${winner:my.first.model.modle.encoder}'}")
    assert "there is no setting modle.encoder" in found.message and found.nearest == "model.encoder"


def test_a_demo_builds_on_demos(results: Any, load: Any, problem: Any) -> None:
    results.add("encoders", {"encoder": "vgg11"})
    found = problem(ENCODER, demo=True)
    assert found.message.startswith("encoders_demo has no results in results; run it first: ")
    assert found.choices == ()
    assert encoder(load(FALLBACK, demo=True)) == "efficientnet-b6"
    results.add("encoders_demo", {"encoder": "vgg13"})
    sweep = load(ENCODER, demo=True)
    assert encoder(sweep) == "vgg13"
    assert "the winner of encoders_demo (results/encoders_demo.csv; " in sweep.references[0]
    assert encoder(load(ENCODER)) == "vgg11"


@pytest.mark.parametrize(
    ("key", "fallback", "value"),
    [
        ("model.encoder", "efficientnet-b6", "efficientnet-b6"),
        ("training.lr", "1e-5", 1e-5),
        ("training.early_stopping.patience", "null", None),
        ("training.channels_last", " false ", False),
    ],
)
def test_a_fallback_stands_where_there_are_no_results(load: Any, key: str, fallback: str, value: Any) -> None:
    sweep = load("", f"{key}=${{winner:encoders.{key}:-{fallback}}}")
    node: Any = nested(sweep.settings)
    for step in key.split("."):
        node = node[step]
    assert node == value
    shown = {None: "null", False: "false"}.get(value, str(value))
    assert sweep.references == (f"{key} = {shown}: encoders has no results here",)


def test_a_fallback_may_be_a_part_with_options(load: Any) -> None:
    sweep = load("model: {decoder: '${winner:d.model.decoder:-{unet: {attention: scse}}}'}")
    assert (sweep.settings.model.decoder.name, sweep.settings.model.decoder.options["attention"]) == ("unet", "scse")


def test_the_fallback_is_not_for_a_sweep_that_has_results(results: Any, load: Any, problem: Any) -> None:
    results.add("encoders", {"encoder": "vgg11"})
    assert encoder(load(FALLBACK)) == "vgg11"
    results.add("encoders", {"encoder": "vgg11"}, {"status": "running"})
    assert problem(FALLBACK).message == f"encoders is not complete; finish it first: {COMMAND}"


# --- Completeness.


@pytest.mark.parametrize("status", ["pending", "running"])
def test_without_an_outcome_the_rows_tell(results: Any, load: Any, problem: Any, status: str) -> None:
    results.add("encoders", {"encoder": "vgg11"}, {"status": status})
    assert problem(ENCODER).message.startswith("encoders is not complete; finish it first: ")
    results.add("encoders", {"encoder": "vgg11"}, {"status": "failed"}, {"status": "raced_out"})
    assert encoder(load(ENCODER)) == "vgg11"


def test_the_outcome_knows_better_than_the_rows(results: Any, load: Any, problem: Any) -> None:
    results.add("encoders", {"encoder": "vgg11"})
    folder = results.folder / "runs" / "encoders"
    write_outcome(folder, complete=False, configurations=1, runs=1, failed=0)
    assert "is not complete" in problem(ENCODER).message
    (folder / OUTCOME_FILE).write_text("{", encoding="utf-8")
    assert "is not complete" in problem(ENCODER).message
    write_outcome(folder, complete=True, configurations=1, runs=1, failed=0)
    assert encoder(load(ENCODER)) == "vgg11"


def test_an_outcome_keeps_the_time_at_which_the_sweep_was_completed(tmp_path: Path) -> None:
    assert read_outcome(tmp_path) is None
    write_outcome(tmp_path, complete=False, configurations=2, runs=6, failed=0)
    begun = read_outcome(tmp_path)
    assert begun is not None and (begun.complete, begun.finished) == (False, "")
    write_outcome(tmp_path, complete=True, configurations=2, runs=6, failed=1)
    text = (tmp_path / OUTCOME_FILE).read_text()
    finished = read_outcome(tmp_path)
    assert finished is not None and (finished.complete, finished.runs, finished.failed) == (True, 6, 1)
    assert finished.finished.endswith("+00:00")
    inode = (tmp_path / OUTCOME_FILE).stat().st_ino
    write_outcome(tmp_path, complete=True, configurations=2, runs=6, failed=1)
    assert ((tmp_path / OUTCOME_FILE).read_text(), (tmp_path / OUTCOME_FILE).stat().st_ino) == (text, inode)
    write_outcome(tmp_path, complete=True, configurations=3, runs=9, failed=1)
    assert read_outcome(tmp_path) != finished


def test_a_sweep_that_has_begun_has_results(results: Any, problem: Any) -> None:
    write_outcome(results.folder / "runs" / "encoders", complete=False, configurations=1, runs=1, failed=0)
    assert "is not complete" in problem(FALLBACK).message


# --- What cannot be resolved.


@pytest.mark.parametrize("text", [ENCODER, FALLBACK], ids=["bare", "fallback"])
def test_a_leaderboard_without_a_rank_has_no_winner(results: Any, problem: Any, text: str) -> None:
    results.add("encoders", {"status": "failed"})
    found = problem(text)
    assert found.where == "model.encoder" and found.source == "later.yaml:2"
    assert "encoders has no winner: no row of results/encoders.csv is ranked" in found.message
    assert found.message.endswith("python run_sweep.py <the file of encoders> --retry-failed")


def test_a_missing_leaderboard_can_be_written_again(results: Any, problem: Any) -> None:
    results.add("encoders", {"encoder": "vgg11"})
    write_outcome(results.folder / "runs" / "encoders", complete=True, configurations=1, runs=1, failed=0)
    (results.folder / "encoders.csv").unlink()
    assert "results/encoders.csv is missing" in problem(FALLBACK).message


def test_a_damaged_or_missing_record_is_named(results: Any, problem: Any) -> None:
    results.add("encoders", {"encoder": "vgg11"})
    record = results.record("encoders", 1)
    record.write_text(record.read_text().replace("vgg11", "vgg13"), encoding="utf-8")
    assert "record is damaged" in problem(ENCODER).message and str(record) in problem(ENCODER).message
    record.unlink()
    assert "record in results/runs/encoders/000000000001/fold-0 is missing" in problem(ENCODER).message


def test_a_sweep_without_results_is_told_how_to_run(results: Any, problem: Any) -> None:
    results.add("encoder", {"encoder": "vgg11"})
    results.add("decoders", {"encoder": "vgg11"})
    (results.folder / "decoders_folds.csv").write_text("configuration,fold,status\n")
    found = problem(ENCODER)
    assert (found.nearest, found.choices) == ("encoder", ("decoders", "encoder"))
    assert (
        "encoders has no results in results; run it first: python run_sweep.py <the file of encoders>" in found.message
    )
    # A file of that name beside this one: then the name is no slip.
    Path("backbones.yaml").write_text("name: encoders\n", encoding="utf-8")
    found = problem(ENCODER)
    assert found.nearest == "" and "run it first: python run_sweep.py backbones.yaml (or " in found.message
    assert "${winner:encoders.model.encoder:-<value>}" in found.message


def test_the_command_says_where_and_how(results: Any, load: Any, tmp_path: Path) -> None:
    Path("backbones.yaml").write_text("name: encoders\n", encoding="utf-8")
    Path("later.yaml").write_text(f"name: later\n{ENCODER}\n", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_sweep(Path("later.yaml"), (), True, Path("my results"))
    command = "python run_sweep.py backbones.yaml --demo --results 'my results'"
    assert command in raised.value.problems[0].message


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("${winner:encoders.modle.encoder}", "there is no setting modle.encoder; got"),
        ("${winner:encoders.encoder}", "did you mean 'model.encoder'?"),
        ("${winner:encoders.model}", "model is no single setting"),
        ("${winner:encoders.case}", "a case is only a name"),
        ("${winner:encoders}", "must name a sweep and one of its settings"),
        ("${winner:}", "must name a sweep and one of its settings"),
        ("${winner:.model.encoder}", "'' is no name of a sweep"),
        ("${winner:../up.model.encoder}", "'../up' is no name of a sweep"),
        ("${winner:encoders.model.encoder:-}", "has an empty fallback"),
        ("${winner:encoders.model.encoder:-[}", "has a fallback that is not valid YAML"),
        ("${winner:encoders.model.encoder", "is no reference to the winner of a sweep"),
        ("${model.encoder}", "is no reference to the winner of a sweep"),
        ("${HOME}", "is no reference to the winner of a sweep"),
        ("tu-${winner:encoders.model.encoder}", "must be the whole of the value"),
        ("${winner:encoders.model.encoder}0", "must be the whole of the value"),
        ("${winner:a.model.encoder}${winner:b.model.encoder}", "must be the whole of the value"),
        ("${winner:a.model.encoder:-${winner:b.model.encoder}}", "must be the whole of the value"),
        ("${winner:later.model.encoder}", "refers to the sweep that it stands in"),
        ("${winner:encoders.model.decoder.fpn.dropout}", "has no model.decoder.fpn.dropout: its model.decoder is"),
        ("${winner:encoders.training.lr}", "got 0.0003"),
    ],
)
def test_each_mistake_in_a_reference_gets_one_message(results: Any, problem: Any, reference: str, words: str) -> None:
    results.add("encoders", {"encoder": "vgg11", "params": 9})
    found = problem(f"training: {{lr: 0.1}}\nmodel:\n  encoder: '{reference}'")
    assert (found.where, found.source) == ("model.encoder", "later.yaml:4")
    assert words in str(found)


@pytest.mark.parametrize("key", ["name", "question", "base"])
def test_what_names_the_sweep_is_no_place_for_a_reference(load: Any, key: str) -> None:
    if key == "base":  # read before anything is known
        with pytest.raises(UserError, match="cannot be read"):
            load("base: '${winner:encoders.model.encoder}'")
        return
    with pytest.raises(UserError) as raised:
        load("", f"{key}=${{winner:encoders.model.encoder}}")
    assert [p.where for p in raised.value.problems] == [key]
    assert "must be written out" in raised.value.problems[0].message


def test_within_braces_quotes_are_asked_for(problem: Any) -> None:
    found = problem("model: {encoder: ${winner:encoders.model.encoder}}")
    assert "within braces or brackets ${...} must be in quotes" in found.message


def test_no_mistake_in_a_reference_hides_another(load: Any, results: Any) -> None:
    results.add("encoders", {"encoder": "vgg11"})
    with pytest.raises(UserError) as raised:
        load(
            "model: {encoder: '${winner:encodrs.model.encoder}', decoder: '${oops}'}\ntraining: {lr: fast}\n"
            "search: {grid: {training.seed: [1, '${winner:encoders.training.sead}', 0.5]}}"
        )
    found = [problem.where for problem in raised.value.problems]
    places = ["search.grid.training.seed[1]", "search.grid.training.seed[2]"]
    assert found == ["model.encoder", "model.decoder", "training.lr", *places]


# --- In a journey.


def test_references_to_stages_before_stay_open_and_to_later_ones_are_refused(load: Any, problem: Any) -> None:
    sweep = load(ENCODER, stages=Stages(before={"encoders": None}))
    assert sweep.waiting == ("model.encoder waits for the winner of encoders",)
    assert sweep.references == ()
    found = problem(ENCODER, stages=Stages(after=("encoders",)))
    assert found.message == "refers to encoders, a later stage of the journey"


def test_a_value_of_another_kind_is_known_before_there_is_a_winner(load: Any, problem: Any) -> None:
    first = nested(load("model: {encoder: vgg11}").settings)
    stages = Stages(before={"encoders": first})
    assert load(ENCODER, stages=stages).waiting
    for text, where in (
        ("training: {lr: '${winner:encoders.model.encoder}'}", "training.lr"),
        ("search: {grid: {training.lr: ['${winner:encoders.model.encoder}']}}", "search.grid.training.lr[0]"),
        (
            "search: {cases: [{name: a, training.lr: '${winner:encoders.model.encoder}'}]}",
            "search.cases[0].training.lr",
        ),
    ):
        found = problem(text, stages=stages)
        assert (found.where, found.value) == (where, "vgg11") and "must be a number" in found.message


def test_what_is_open_is_not_taken_for_something_else(load: Any) -> None:
    reference = "'${winner:encoders.model.encoder}'"
    sweep = load(
        f"model: {{encoder: {reference}}}\n"
        "training: {epochs: '${winner:encoders.training.epochs}', warmup_epochs: 90}\n"
        f"search:\n  cases: [{{name: a}}, {{name: b, model.encoder: {reference}}}]\n"
        f"  exclude: [{{model.encoder: vgg19}}]",
        stages=Stages(before={"encoders": None}),
    )
    assert len(sweep.waiting) == 3
