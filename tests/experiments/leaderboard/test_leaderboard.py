"""The leaderboard from records on disk: columns, ranks, ties, statuses, and the same bytes whatever the way."""

from __future__ import annotations

import csv
import io
import math
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from experiments.leaderboard import Entry, Leaderboard
from experiments.leaderboard.cases import read_cases
from experiments.leaderboard.contest import cases_tested_per_trained
from experiments.ledger import Ledger
from experiments.ledger.record import Record
from experiments.statistics import corrected_t_tests, group_weights, holm, wilcoxon_p
from utils.metrics import METRICS, mean_over_cases

Finish = Callable[..., Record]

A, B, C, D = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"
TAIL = (
    "p_vs_best tied_with_best difference_to_best effect_vs_best p_folds_vs_best probability_best "
    "params_millions gflops epochs train_seconds inference_ms peak_memory_mb"
)
FILES = ("demo.csv", "demo_folds.csv", "demo_epochs.csv", "demo_cases.csv")


def entries(*ids: str) -> list[Entry]:
    return [Entry(id_, f"net {id_[0]}", {"model.encoder": f"net-{id_[0]}", "training.lr": 3e-4}) for id_ in ids]


def board(results: Path, *ids: str, objective: str = "dice", direction: str = "max") -> Leaderboard:
    folder = Ledger(results, "demo").folder
    return Leaderboard("demo", entries(*ids), objective, direction, folder, resamples=300)  # type: ignore[arg-type]


def records(results: Path, *ids: str) -> dict[tuple[str, int], Record]:
    return Ledger(results, "demo").records([(id_, fold) for id_ in ids for fold in range(3)])


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def built(results: Path, *ids: str, running: Sequence[tuple[str, int]] = (), **options: str) -> list[dict[str, str]]:
    table = board(results, *ids, **options)
    table.update(records(results, *ids), running)
    return rows_of(table.as_csv())


def test_columns_are_those_of_the_design(tmp_path: Path) -> None:
    table = board(tmp_path, A)
    header = table.as_csv().partition("\n")[0].split(",")
    scores = [f"{name}_{part}" for name in METRICS for part in ("mean", "std", "ci_low", "ci_high")]
    head = ["rank", "configuration", "status", "model.encoder", "training.lr", "folds"]
    assert header == [*head, *scores, *TAIL.split(), "adjustments", "code", "data", "split"]


def test_rows_are_ranked_and_carry_means_of_fold_means(tmp_path: Path, finish: Finish) -> None:
    made = {(id_, fold): finish(id_, fold, skill=skill) for id_, skill in ((A, 0.6), (B, 0.9)) for fold in range(3)}
    first, second = built(tmp_path / "results", A, B)
    assert (first["rank"], first["configuration"]) == ("1", B) and (second["rank"], second["configuration"]) == ("2", A)
    assert first["model.encoder"] == "net-b" and first["training.lr"] == "0.0003" and first["folds"] == "3"
    for name in METRICS:
        values = [made[B, fold].metrics[name] for fold in range(3)]
        assert float(first[f"{name}_mean"]) == pytest.approx(np.mean(values), rel=1e-5)
        assert float(first[f"{name}_std"]) == pytest.approx(np.std(values, ddof=1), rel=1e-4, abs=1e-9)
        assert float(first[f"{name}_ci_low"]) <= float(first[f"{name}_mean"]) <= float(first[f"{name}_ci_high"])
    assert (first["epochs"], first["train_seconds"], first["peak_memory_mb"]) == ("3", "37.5", "102")
    assert (first["adjustments"], first["code"], first["split"]) == ("micro-batch 8", "1.0.0", "5a5a5a5a5a5a")
    assert first["p_vs_best"] == "" and first["tied_with_best"] == "true"


def test_a_clearly_worse_configuration_is_not_tied_and_an_equal_one_is(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold, skill=0.85, cases=60, noise=0.01)
        finish(B, fold, skill=0.4, cases=60, noise=0.01)
        finish(C, fold, skill=0.85, cases=60, noise=0.01)
    rows = {row["configuration"]: row for row in built(tmp_path / "results", A, B, C)}
    assert rows[B]["rank"] == "3" and rows[B]["tied_with_best"] == "false" and float(rows[B]["p_vs_best"]) < 0.001
    assert rows[A]["tied_with_best"] == rows[C]["tied_with_best"] == "true"


def test_p_values_are_holms_over_the_wilcoxon_tests_of_all_rows(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        for id_, skill in ((A, 0.8), (B, 0.78), (C, 0.76)):
            finish(id_, fold, skill=skill)
    rows = {row["configuration"]: row for row in built(tmp_path / "results", A, B, C)}
    best = next(id_ for id_, row in rows.items() if row["rank"] == "1")
    dice: dict[str, dict[str, float]] = {}
    group_of: dict[str, str] = {}
    for id_ in rows:
        for fold in range(3):
            for row in rows_of((Ledger(tmp_path / "results", "demo").folder(id_, fold) / "cases.csv").read_text()):
                if row["dice"]:
                    dice.setdefault(id_, {})[row["case"]] = float(row["dice"])
                    group_of[row["case"]] = row["group"]
    others = [id_ for id_ in rows if id_ != best]
    p_values = []
    for id_ in others:
        means: dict[str, list[float]] = {}
        for case, value in dice[id_].items():
            means.setdefault(group_of[case], []).append(value - dice[best][case])
        p_values.append(wilcoxon_p(np.array([np.mean(values) for values in means.values()])))
    for id_, p in zip(others, holm(np.array(p_values)), strict=True):
        assert float(rows[id_]["p_vs_best"]) == pytest.approx(p, rel=1e-5)


def test_a_failed_or_missing_fold_has_no_mean_and_no_rank(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold)
    finish(B, 0, skill=0.99)
    finish(B, 1, failed="CUDA out of memory")
    finish(B, 2, skill=0.99)
    finish(C, 0, skill=0.99)
    results = tmp_path / "results"
    rows = built(results, D, C, B, A, running=[(C, 1)])
    assert [(row["rank"], row["status"], row["configuration"], row["folds"]) for row in rows] == [
        ("1", "complete", A, "3"),
        ("", "failed", B, "2"),
        ("", "running", C, "1"),
        ("", "pending", D, "0"),
    ]
    for row in rows[1:]:
        assert all(not row[f"{name}_mean"] for name in METRICS) and not row["tied_with_best"]
    assert rows[1]["params_millions"] == "10" and rows[1]["train_seconds"] == ""
    table = board(results, D, C, B, A)
    table.update(records(results, A, B, C, D), running=[(C, 1)])
    table.write(results)
    folds = rows_of((results / "demo_folds.csv").read_text())
    assert len(folds) == 12
    by_run = {(row["configuration"], row["fold"]): row for row in folds}
    assert by_run[B, "1"]["status"] == "failed" and by_run[B, "1"]["error"] == "CUDA out of memory"
    assert [by_run[C, fold]["status"] for fold in "012"] == ["complete", "running", "pending"]


def test_raced_out_rows_stay_unranked(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold)
    finish(B, 0, skill=0.1)
    table = board(tmp_path / "results", B, A)
    table.update(records(tmp_path / "results", A, B), raced_out=[B])
    assert [(row["rank"], row["status"]) for row in rows_of(table.as_csv())] == [("1", "complete"), ("", "raced_out")]


def test_an_objective_to_minimise_ranks_the_smallest_first(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold, skill=0.9)
        finish(B, fold, skill=0.5)
    results = tmp_path / "results"
    assert [row["configuration"] for row in built(results, A, B, objective="iou", direction="min")] == [B, A]


def test_equal_scores_are_ranked_by_parameters_then_id(tmp_path: Path, finish: Finish) -> None:
    for id_, params in ((C, 5.0), (B, 5.0), (A, 20.0)):
        for fold in range(3):
            finish(id_, fold, params=params)
    rows = built(tmp_path / "results", A, C, B, objective="false_positive_rate", direction="min")
    assert len({row["false_positive_rate_mean"] for row in rows}) == 1
    assert [row["configuration"] for row in rows] == [B, C, A]
    assert all(row["tied_with_best"] == "true" for row in rows)


@pytest.mark.parametrize("objective", ["accuracy", "macro_f1", "auroc"])
def test_objectives_of_whole_folds_are_compared_by_paired_resamples(
    tmp_path: Path, finish: Finish, objective: str
) -> None:
    for fold in range(3):
        finish(A, fold, skill=0.9, cases=60)
        finish(B, fold, skill=0.05, cases=60)
    first, second = built(tmp_path / "results", A, B, objective=objective)
    assert first["configuration"] == A
    # 300 resamples, none of them in B's favour
    assert float(second["p_vs_best"]) == pytest.approx(2 / 301, rel=1e-5)


def test_runs_without_diagnosis_have_no_classification_scores(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold, diagnosis=False)
        finish(B, fold, skill=0.5)
    first, second = built(tmp_path / "results", A, B)
    assert first["accuracy_mean"] == first["auroc_ci_low"] == "" and second["accuracy_mean"] != ""
    assert first["dice_ci_low"] != ""


def test_the_objective_of_runs_without_diagnosis_cannot_be_accuracy(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold, diagnosis=False)
    (row,) = built(tmp_path / "results", A, objective="accuracy")
    assert (row["rank"], row["status"]) == ("", "complete")


def test_a_single_fold_ties_everything(tmp_path: Path, finish: Finish) -> None:
    finish(A, 0, skill=0.9)
    finish(B, 0, skill=0.2)
    results = tmp_path / "results"
    table = Leaderboard(
        "demo",
        [Entry(A, "a", folds=(0,)), Entry(B, "b", folds=(0,))],
        "dice",
        "max",
        Ledger(results, "demo").folder,
        300,
    )
    table.update(records(results, A, B))
    rows = rows_of(table.as_csv())
    assert float(rows[1]["p_vs_best"]) < 0.01 and rows[1]["tied_with_best"] == "true"
    assert rows[0]["dice_std"] == "" and rows[0]["dice_ci_low"] != ""


def test_bytes_do_not_depend_on_the_order_of_results_nor_on_restarts(tmp_path: Path, finish: Finish) -> None:
    ids = (A, B, C)
    for position, id_ in enumerate(ids):
        for fold in range(3):
            finish(id_, fold, skill=0.7 + position / 50)
    results = tmp_path / "results"
    whole = records(results, *ids)
    at_once = board(results, *ids)
    at_once.update(whole)
    at_once.write(tmp_path / "at_once")
    runs = list(whole)
    random.Random(4).shuffle(runs)
    table = board(results, *ids)
    for count in range(1, len(runs) + 1):
        if count == 5:
            table = board(results, *ids)
        table.update({run: whole[run] for run in runs[:count]}, running=runs[count : count + 2])
        table.write(tmp_path / "stepwise")
    for name in FILES:
        assert (tmp_path / "stepwise" / name).read_bytes() == (tmp_path / "at_once" / name).read_bytes()


def test_epochs_and_cases_hold_every_line_of_every_run(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold)
        finish(B, fold, diagnosis=False)
    results = tmp_path / "results"
    table = board(results, A, B)
    table.update(records(results, A, B))
    table.write(results)
    epochs, cases = (rows_of((results / f"demo_{name}.csv").read_text()) for name in ("epochs", "cases"))
    assert len(epochs) == 6 * 3 and len(cases) == 6 * 30
    assert [(row["configuration"], row["fold"]) for row in cases[::30]] == [
        (id_, str(fold)) for fold in range(3) for id_ in (A, B)
    ]
    # B's own tables have fewer columns: its cells are in the right ones nevertheless.
    folder = Ledger(results, "demo").folder
    for id_ in (A, B):
        own = rows_of((folder(id_, 1) / "cases.csv").read_text())
        ours = [row for row in cases if (row["configuration"], row["fold"]) == (id_, "1")]
        for mine, theirs in zip(own, ours, strict=True):
            assert {key: theirs[key] for key in mine} == mine
            assert id_ == A or theirs["probability_benign"] == ""


def test_damaged_or_deleted_files_come_back(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold)
    results = tmp_path / "results"
    table = board(results, A)
    table.update(records(results, A))
    table.write(results)
    before = {name: (results / name).read_bytes() for name in FILES}
    (results / "demo_cases.csv").write_text("vandalised")
    (results / "demo_epochs.csv").unlink()
    table.write(results)
    assert {name: (results / name).read_bytes() for name in FILES} == before


def test_a_configuration_that_left_the_sweep_leaves_the_table(tmp_path: Path, finish: Finish) -> None:
    for id_ in (A, B):
        for fold in range(3):
            finish(id_, fold)
    results = tmp_path / "results"
    table = board(results, A)
    table.update(records(results, A, B))
    table.write(results)
    assert B not in "".join((results / name).read_text() for name in FILES)
    assert (Ledger(results, "demo").folder(B, 0) / "record.json").exists()


def test_rows_that_are_added_make_the_table_that_they_would_have_made_from_the_start(
    tmp_path: Path, finish: Finish
) -> None:
    folder = Ledger(tmp_path / "results", "demo").folder
    drawn = [Entry("aaa", "#1", {"lr": 0.1}), Entry("bbb", "#2", {"lr": 0.2, "momentum": 0.5})]
    columns = ("case", "lr", "momentum")
    table = Leaderboard("demo", [], "dice", "max", folder, resamples=300, varied=columns)
    assert table.as_csv().startswith("rank,configuration,status,case,lr,momentum,folds,")
    table.add(drawn[0])
    records = {("aaa", fold): finish("aaa", fold) for fold in range(3)}
    table.update(records)
    table.add(drawn[1])
    assert [line.status for line in table.ranked()] == ["complete", "pending"]
    table.write(tmp_path / "added")
    again = Leaderboard("demo", drawn, "dice", "max", folder, resamples=300, varied=columns)
    again.update(records)
    again.write(tmp_path / "again")
    for name in ("demo", "demo_folds", "demo_epochs", "demo_cases"):
        assert (tmp_path / "added" / f"{name}.csv").read_bytes() == (tmp_path / "again" / f"{name}.csv").read_bytes()
    for bad in (drawn[0], Entry("ccc", "#3", {"other": 1})):
        with pytest.raises(ValueError, match="cannot be added"):
            table.add(bad)


def test_standings_show_ranked_rows_first_and_provisional_ones_after(tmp_path: Path, finish: Finish) -> None:
    for fold in range(3):
        finish(A, fold, skill=0.5)
    finish(B, 0, skill=0.95)
    finish(C, 0, skill=0.9)
    finish(C, 1, skill=0.9)
    table = board(tmp_path / "results", D, B, C, A)
    table.update(records(tmp_path / "results", A, B, C))
    standings = table.as_table()
    assert [(line.rank, line.name, line.folds) for line in standings] == [
        ("1", "net a", "3/3"),
        ("", "net c", "2/3"),
        ("", "net b", "1/3"),
    ]
    assert " ± " in standings[0].score and len(table.as_table(top=1)) == 1


def test_tested_cases_per_trained_case() -> None:
    def record(**folds: object) -> Record:
        return Record(
            sweep="s", configuration=A, fold=0, status="complete", code="1", data="", split="", seed=0,
            settings={"folds": folds},
        )  # fmt: skip

    # 3 folds: a third tested, two thirds left, 15 % of those not trained on
    assert cases_tested_per_trained(record(k=3, validation=0.15), 3) == pytest.approx((1 / 3) / (2 / 3 * 0.85))
    assert cases_tested_per_trained(record(k=3, validation=0.15, use=2), 2) == pytest.approx((1 / 3) / (2 / 3 * 0.85))
    assert cases_tested_per_trained(record(**{"from": "folds.csv", "k": 3, "validation": 0.0}), 5) == pytest.approx(
        1 / 4
    )
    assert math.isnan(cases_tested_per_trained(record(k=1, validation=0.1), 1))


def test_a_table_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no table of cases"):
        read_cases(tmp_path / "cases.csv")
    (tmp_path / "cases.csv").write_text("case,group,label,predicted,probability_x,dice\nc,g,y,x,0.5,0.5\n")
    with pytest.raises(ValueError, match="without a probability"):
        read_cases(tmp_path / "cases.csv")


def test_one_more_run_reads_no_other_configurations_files(tmp_path: Path, finish: Finish) -> None:
    ids = (A, B, C)
    for id_ in ids:
        for fold in range(3):
            finish(id_, fold)
    results = tmp_path / "results"
    whole = records(results, *ids)
    at_once = board(results, *ids)
    at_once.update(whole)
    at_once.write(tmp_path / "at_once")
    last = whole.pop((B, 1))
    table = board(results, *ids)
    table.update(whole)
    table.write(tmp_path / "stepwise")
    for id_ in (A, C):
        shutil.rmtree(results / "runs" / "demo" / id_)
    table.update({**whole, (B, 1): last})
    table.write(tmp_path / "stepwise")
    for name in FILES:
        assert (tmp_path / "stepwise" / name).read_bytes() == (tmp_path / "at_once" / name).read_bytes()


def test_comparison_columns_against_a_second_implementation(tmp_path: Path, finish: Finish) -> None:
    skills = {A: 0.8, B: 0.79, C: 0.7}
    for id_, skill in skills.items():
        for fold in range(3):
            finish(id_, fold, skill=skill)
    results = tmp_path / "results"
    table = board(results, *skills)
    table.update(records(results, *skills))
    rows = rows_of(table.as_csv())
    best, ranked = rows[0], [row["configuration"] for row in rows]
    dice = {id_: [read_cases(table.folder(id_, fold) / "cases.csv") for fold in range(3)] for id_ in ranked}
    column = dice[A][0].sample.case_metrics.index("dice")
    effects, p_folds, shares = {}, {}, np.zeros(3)
    means = {
        id_: np.array([np.nanmean(run.sample.case_values[:, column]) for run in runs]) for id_, runs in dice.items()
    }
    for id_ in ranked[1:]:
        differences = []
        for mine, theirs in zip(dice[id_], dice[ranked[0]], strict=True):
            gap = mine.sample.case_values[:, column] - theirs.sample.case_values[:, column]
            differences += [np.nanmean(gap[mine.sample.groups == g]) for g in np.unique(mine.sample.groups)
                            if not np.isnan(gap[mine.sample.groups == g]).all()]  # fmt: skip
        ranks = scipy_stats.rankdata(np.abs(differences))
        effects[id_] = (ranks * np.sign(differences)).sum() / ranks.sum()
        p_folds[id_] = corrected_t_tests(np.stack(list(means.values())), list(means).index(ranked[0]), 1 / (2 * 0.85))[
            list(means).index(id_)
        ]
    for row in rows[1:]:
        id_ = row["configuration"]
        p = min(1, 3 * p_folds[id_])  # as if all three pairs had been compared
        assert float(row["difference_to_best"]) == pytest.approx(means[id_].mean() - means[ranked[0]].mean(), rel=1e-4)
        assert float(row["effect_vs_best"]) == pytest.approx(effects[id_], rel=1e-4)
        assert float(row["p_folds_vs_best"]) == pytest.approx(p, rel=1e-4)
    for resample in range(300):
        averages = []
        for id_ in ranked:
            of_folds = []
            for fold, run in enumerate(dice[id_]):
                weights = group_weights(run.sample.group_count, 300, "demo", fold)[resample][run.sample.groups]
                drawn = np.repeat(run.sample.case_values[:, column], weights.astype(int))
                of_folds.append(mean_over_cases(drawn))
            averages.append(np.mean(of_folds))
        shares[int(np.argmax(averages))] += 1 / 300
    assert [float(row["probability_best"]) for row in rows] == pytest.approx(shares, abs=1e-6)
    empty = ("p_vs_best", "difference_to_best", "effect_vs_best", "p_folds_vs_best")
    assert [best[name] for name in empty] == [""] * 4 and best["tied_with_best"] == "true"


def test_a_difference_within_the_margin_is_a_tie(tmp_path: Path, finish: Finish) -> None:
    for id_, skill in ((A, 0.7), (B, 0.65)):
        for fold in range(3):
            finish(id_, fold, skill=skill, cases=90, noise=0.001)
    results = tmp_path / "results"
    tied = {}
    for margin in (0.0, 0.04, 0.06):
        folder = Ledger(results, "demo").folder
        table = Leaderboard("demo", entries(A, B), "dice", "max", folder, resamples=300, margin=margin)
        table.update(records(results, A, B))
        tied[margin] = table.line(B).tied
    assert tied == {0.0: False, 0.04: False, 0.06: True}


def test_only_contenders_have_every_interval_and_all_have_the_objectives(
    tmp_path: Path, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.leaderboard.leaderboard.CONTENDERS", 2)
    ids = (A, B, C, D)
    for id_, skill in zip(ids, (0.5, 0.6, 0.7, 0.8), strict=True):
        for fold in range(3):
            finish(id_, fold, skill=skill)
    results = tmp_path / "results"
    whole = records(results, *ids)
    table = board(results, *ids)
    # D comes last: C then falls back to the second rank, and B out of the contest.
    table.update({run: record for run, record in whole.items() if run[0] != D})
    assert table.line(B).summary is not None and table.line(B).summary.detailed
    table.update(whole)
    at_once = board(results, *ids)
    at_once.update(whole)
    assert table.as_csv() == at_once.as_csv()
    for row in rows_of(table.as_csv()):
        assert row["dice_ci_low"] != "" and (row["iou_ci_low"] != "") == (int(row["rank"]) <= 2)


def test_a_leader_that_leaves_gives_its_probability_back(tmp_path: Path, finish: Finish) -> None:
    ids = (A, B, C)
    for id_ in ids:
        for fold in range(3):
            finish(id_, fold)
    results = tmp_path / "results"
    whole = records(results, *ids)
    table = board(results, *ids)
    table.update(whole)
    assert sum(table.line(id_).probability_best for id_ in ids) == pytest.approx(1)
    leader = table.ranked()[0].entry.id
    rest = {run: record for run, record in whole.items() if run[0] != leader}
    table.update(rest)
    fresh = board(results, *ids)
    fresh.update(rest)
    assert table.as_csv() == fresh.as_csv()
    assert sum(line.probability_best for line in table.ranked() if line.rank) == pytest.approx(1)


@pytest.mark.parametrize("objective", ["dice", "macro_f1"])
def test_the_ranking_is_over_groups_of_cases_or_over_folds(tmp_path: Path, finish: Finish, objective: str) -> None:
    ids = (A, B, C)
    for id_, skill in zip(ids, (0.9, 0.5, 0.1), strict=True):
        for fold in range(3):
            finish(id_, fold, skill=skill)
    results = tmp_path / "results"
    table = board(results, *ids, objective=objective)
    assert table.ranking is None
    table.update(records(results, A, B))
    assert table.ranking is None
    table.update(records(results, *ids))
    ranking = table.ranking
    assert ranking is not None and ranking.configurations == tuple(line.entry.id for line in table.ranked())
    ids_and_groups = {(row["fold"], row["group"]) for row in _cases_with_dice(table)}
    assert (ranking.blocks, ranking.test.blocks) == (
        ("groups", len(ids_and_groups)) if objective == "dice" else ("folds", 3)
    )
    assert ranking.test.average_ranks.argmin() == 0
    if objective == "dice":
        assert ranking.test.p < 1e-6


def _cases_with_dice(table: Leaderboard) -> list[dict[str, str]]:
    rows = []
    for fold in range(3):
        for row in rows_of((table.folder(A, fold) / "cases.csv").read_text()):
            if row["dice"]:
                rows.append({**row, "fold": str(fold)})
    return rows


def test_a_long_table_lags_a_little_until_it_is_written_whole(
    tmp_path: Path, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.leaderboard.concatenation._LONG", 1000)
    ids = [f"{number:012x}" for number in range(7)]
    for id_ in ids:
        for fold in range(3):
            finish(id_, fold, cases=4)
    results = tmp_path / "results"
    whole = records(results, *ids)
    table = board(results, *ids)
    table.update({run: record for run, record in whole.items() if run[0] != ids[3]})
    table.write(results, whole=False)
    short = (results / "demo_cases.csv").read_bytes()
    table.update({run: record for run, record in whole.items() if run != (ids[3], 0) and run != (ids[3], 1)})
    table.write(results, whole=False)
    assert (results / "demo_cases.csv").read_bytes() == short
    assert rows_of((results / "demo_folds.csv").read_text())[11]["status"] == "complete"
    table.write(results)
    assert len(rows_of((results / "demo_cases.csv").read_text())) == 19 * 4
    table.update({run: record for run, record in whole.items() if run[0] != ids[0]})
    table.write(results, whole=False)
    # What has left the sweep never lags.
    assert ids[0] not in (results / "demo_cases.csv").read_text()


def test_a_table_that_is_damaged_after_its_record_was_read_costs_its_intervals_and_a_warning(
    finish: Finish, tmp_path: Path
) -> None:
    for id_, fold in ((A, 0), (A, 1), (A, 2), (B, 0), (B, 1), (B, 2)):
        finish(id_, fold)
    table, read = board(tmp_path / "results", A, B), records(tmp_path / "results", A, B)
    path = table.folder(B, 1) / "cases.csv"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(UserWarning, match="cases.csv is damaged; give the same command again"):
        table.update(read)
    rows = {row["configuration"]: row for row in rows_of(table.as_csv())}
    assert {row["status"] for row in rows.values()} == {"complete"}
    assert rows[B]["dice_ci_low"] and rows[A]["iou_ci_low"] and not rows[B]["iou_ci_low"]
