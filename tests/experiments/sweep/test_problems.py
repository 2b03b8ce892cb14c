from __future__ import annotations

from typing import Any

import pytest

EIGHT = """\
name: eight
dataset: {name: busy, image_sise: 256}
folds: {k: 1}
model: {decoder: {unet: {atention: scse}}}
training:
  lr: fast
  epochs: 0
  scheduler: cosin
search:
  grid:
    model.encoder: [resnet18, resnet19]
"""


def test_eight_mistakes_get_eight_messages(problems: Any, tmp_path: Any) -> None:
    found = problems(EIGHT)
    assert [(p.where, p.source.rpartition(":")[2], p.value, p.nearest) for p in found] == [
        ("dataset.name", "2", "busy", "busi"),
        ("dataset.image_sise", "2", None, "image_size"),
        ("folds.k", "3", 1, ""),
        ("model.decoder.unet.atention", "4", None, "attention"),
        ("training.lr", "6", "fast", ""),
        ("training.epochs", "7", 0, ""),
        ("training.scheduler", "8", "cosin", "cosine"),
        ("search.grid.model.encoder[1]", "11", "resnet19", "resnet18"),
    ]
    assert all(problem.source.startswith(str(tmp_path)) for problem in found)
    assert {"busi", "phantom"} <= set(found[0].choices)
    assert "resnet34" in found[-1].choices


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("training: {lr: '0.1'}", "training.lr", "must be a number; got '0.1'"),
        ("training: {epochs: 1.5}", "training.epochs", "must be a whole number; got 1.5"),
        ("training: {epochs: true}", "training.epochs", "must be a whole number; got True"),
        ("training: {epochs: 0}", "training.epochs", "must be at least 1; got 0"),
        ("training: {lr: 0}", "training.lr", "must be greater than 0; got 0"),
        ("training: {lr: .nan}", "training.lr", "must be a finite number; got nan"),
        ("training: {lr: 1e999}", "training.lr", "must be a finite number; got inf"),
        ("training: {epochs: 99999999999999999999999}", "training.epochs", "must be at most 100000"),
        ("training: {scheduler: cosin}", "training.scheduler", "unknown value; got 'cosin'; did you mean 'cosine'?"),
        ("training: {amp: off}", "training.amp", "unknown value; got 'off'"),
        ("training: {channels_last: maybe}", "training.channels_last", "must be true or false; got 'maybe'"),
        ("training: {early_stopping: {patience: none}}", "training.early_stopping.patience", "got 'none'"),
        ("training: {early_stopping: 12}", "training.early_stopping", "must be a mapping of keys to values; got 12"),
        ("training:", "training", "must be a mapping of keys to values; it is empty"),
        ("training: {augmentation: flip}", "training.augmentation", "must be a list"),
        ("training: {augmentation: [flip, flop]}", "training.augmentation[1]", "did you mean 'flip'?"),
        ("training: {augmentation: [{flip: {p: 2}}]}", "training.augmentation[0].flip.p", "must be at most 1"),
        ("training: {classification_loss: {a: 1, b: 2}}", "training.classification_loss", "must be a name, or {name:"),
        ("training: {classification_loss: {focal: 1}}", "training.classification_loss", "must be a name, or {name:"),
        ("training: {segmentation_loss: [dice]}", "training.segmentation_loss", "must be a name, {name: {option: val"),
        ("training: {segmentation_loss: {}}", "training.segmentation_loss", "must be a name, {name: {option: value}}"),
        ("training: {segmentation_loss: dise}", "training.segmentation_loss", "no such segmentation loss; got 'dise'"),
        ("dataset: {image_size: [128]}", "dataset.image_size", "must be a side or [height, width]"),
        ("dataset: {image_size: 4}", "dataset.image_size", "8 to 8192"),
        ("dataset: {preprocessing: [{median: {size: 4}}]}", "dataset.preprocessing[0].median.size", "odd"),
        ("dataset: {options: {case: 3}, name: phantom}", "dataset.options.case", "did you mean 'cases'?"),
        ("dataset: {options: {cases: 0}, name: phantom}", "dataset.options.cases", "must be at least 1"),
        ("model: {encoder: resnet19}", "model.encoder", "did you mean 'resnet18'?"),
        ("model: {encoder: tu-resnet19}", "model.encoder", "timm has no such model"),
        ("model: {encoder: {resnet18: {depth: 3}}}", "model.encoder", "this encoder has no options"),
        ("model: {encoder: {unet_scratch: {wdth: 3}}}", "model.encoder.unet_scratch.wdth", "did you mean 'width'?"),
        ("model: {encoder_weights: imagnet}", "model.encoder_weights", "did you mean 'imagenet'?"),
        ("model: {encoder_weights: null}", "model.encoder_weights", "must be text; it is empty"),
        ("model: {bottleneck: identty}", "model.bottleneck", "no such bottleneck"),
        ("folds: {k: 1}", "folds.k", "needs test"),
        ("folds: {k: 3, test: 0.2}", "folds.test", "is for k: 1"),
        ("folds: {test: 0.2}", "folds.test", "is for k: 1"),
        ("folds: {from: f.csv, k: 3}", "folds.k", "leave k or from out"),
        ("folds: {use: 4}", "folds.use", "only 3 folds"),
        ("folds: {validation: 1}", "folds.validation", "must be less than 1"),
        ("folds: {group: patients}", "folds.group", "unknown value"),
        ("objective: {metric: dise}", "objective.metric", "did you mean 'dice'?"),
        ("objective: {metric: dice, mode: min}", "objective.mode", "more is better"),
        ("objective: {metric: auroc}\nmodel: {classification_head: no}", "objective.metric", "measures the diagnosis"),
        ("training: {warmup_epochs: 5, epochs: 5}", "training.warmup_epochs", "never reach its peak"),
        ("trainning: {lr: 1}", "trainning", "did you mean 'training'?"),
        ("lr: 0.1", "lr", "did you mean 'training.lr'?"),
        ("training.lr: 0.1", "training.lr", "did you mean 'training: {lr: ...}'?"),
        ("training: {optimiser: adam}", "training.optimiser", "did you mean 'optimizer'?"),
        ("resources: {cpus: 0}", "resources.cpus", "auto or a whole number"),
        ("resources: {gpus: many}", "resources.gpus", "auto or a number"),
        ("resources: {slots: 1.5}", "resources.slots", "auto or a whole number"),
        ("racing: {epochs: some}", "racing.epochs", "unknown value"),
        (
            "racing: {enabled: true}\nsearch: {space: {training.lr: {uniform: [0.1, 0.2]}}, samples: 3}",
            "racing.enabled",
            "come one after another and cannot race",
        ),
        ("model: {encoder: '${winner:nobody.model.encoder}'}", "model.encoder", "nobody has no results in results"),
        ("search: {grid: {training.lr: 0.1}}", "search.grid.training.lr", "must be a list of values"),
        ("search: {grid: {training.lr: []}}", "search.grid.training.lr", "1 to 10000 values"),
        ("search: {grid: {training.lr: [0.1, 1e-1]}}", "search.grid.training.lr[1]", "stands in the grid twice"),
        (
            "search: {grid: {training.segmentation_loss: [dice, {dice: {smooth: 0}}]}}",
            "search.grid.training.segmentation_loss[1]",
            "stands in the grid twice",
        ),
        ("search: {grid: {training: [1]}}", "search.grid.training", "write dotted keys"),
        ("search: {grid: {lr: [1]}}", "search.grid.lr", "did you mean 'training.lr'?"),
        ("search: {grid: {modle.encoder: 5}}", "search.grid.modle.encoder", "did you mean 'model.encoder'?"),
        ("search: {grid: {objective.metric: [dice]}}", "search.grid.objective.metric", "cannot vary"),
        ("search: {grid: {folds.use: [1]}}", "search.grid.folds.use", "cannot vary"),
        ("search: {grid: {folds.k: [1, 3]}}", "search.grid.folds.k[0]", "needs test"),
        ("search: {grid: {training.lr: [.inf, 0.1]}}", "search.grid.training.lr[0]", "finite"),
        (
            "search: {grid: {training.augmentation: [[flip], [{flip: {q: 1}}]]}}",
            "search.grid.training.augmentation[1][0].flip.q",
            "no such option",
        ),
        (
            "search: {grid: {training.segmentation_loss.focal.gamma: [2, 0]}}",
            "search.grid.training.segmentation_loss.focal.gamma[1]",
            "must be at least 1",
        ),
        (
            "search: {grid: {training.segmentation_loss: [dice], training.segmentation_loss.focal.gamma: [2]}}",
            "search.grid.training.segmentation_loss.focal.gamma",
            "overlaps",
        ),
        (
            "dataset: {name: phantom}\nsearch: {grid: {dataset.options.cases: [9, x]}}",
            "search.grid.dataset.options.cases[1]",
            "must be a whole number (dataset phantom)",
        ),
        ("search: {grid: [1]}", "search.grid", "must be a mapping"),
        ("search: {cases: [{training.lr: 0.1}]}", "search.cases[0]", "has no name"),
        ("search: {cases: [{name: 5}]}", "search.cases[0].name", "one line of text"),
        ("search: {cases: [a]}", "search.cases[0]", "must be a mapping"),
        ("search: {cases: [{name: a}, {name: a, training.lr: 0.1}]}", "search.cases[1].name", "another case"),
        ("search: {cases: [{name: a, training.lr: x}]}", "search.cases[0].training.lr", "must be a number"),
        ("search: {cases: [{name: a, training.rl: 1}]}", "search.cases[0].training.rl", "did you mean 'training.lr'?"),
        ("search: {cases: [{name: a, model: {}}]}", "search.cases[0].model", "write dotted keys"),
        (
            "search: {cases: [{name: a, training.lr: 0.1}, {name: b, training.lr: 0.1}]}",
            "search.cases[1]",
            "b is the same configuration as a",
        ),
        (
            "search: {cases: [{name: a, training.lr: 0.1}], grid: {training.lr: [0.2]}}",
            "search.grid.training.lr",
            "varies in search.cases as well",
        ),
        ("search: {exclude: [{training.lr: 0.5}]}", "search.exclude[0]", "matches no configuration"),
        ("search: {exclude: [{training.rl: 0.5}]}", "search.exclude[0].training.rl", "did you mean 'training.lr'?"),
        ("search: {exclude: [{}]}", "search.exclude[0]", "is empty"),
        (
            "search: {grid: {training.seed: [1, 2]}, exclude: [{training.seed: 1}, {training.seed: 2}]}",
            "search.exclude",
            "leaves no configuration",
        ),
        (
            f"search: {{grid: {{training.seed: {list(range(200))}, folds.seed: {list(range(200))}}}}}",
            "search",
            "40000 configurations",
        ),
        ("name: a/b", "name", "letters, digits"),
        ("name: ..", "name", "letters, digits"),
        ("name: 5", "name", "must be text"),
        (f"name: {'a' * 81}", "name", "at most 80 characters"),
    ],
)
def test_each_mistake_gets_one_message(problems: Any, text: str, where: str, words: str) -> None:
    found = problems(text if text.startswith("name:") else f"name: s\n{text}\n")
    assert [problem.where for problem in found] == [where], "\n".join(map(str, found))
    assert words in str(found[0])


def test_a_bad_classification_objective_points_at_the_value_that_makes_it_bad(problems: Any) -> None:
    text = "name: s\nobjective: {metric: auroc}\nsearch: {grid: {model.classification_head: [true, false]}}\n"
    [problem] = problems(text)
    assert problem.where == "objective.metric"


MISTAKES = {
    "name": "name: a b",
    "dataset.nme": "dataset: {nme: busi}",
    "model.encoder": "model: {encoder: resnet19}",
    "training.lr": "training: {lr: fast}",
    "folds.k": "folds: {k: 1}",
    "objective.mode": "objective: {metric: dice, mode: min}",
    "resources.retries": "resources: {retries: -1}",
    "racing.alpha": "racing: {alpha: 2}",
    "search.grid.training.epochs[1]": (
        "search:\n  grid: {training.epochs: [5, 0], trainin.seed: [1]}\n"
        "  cases: [{name: a, training.momentum: 2}]\n  exclude: [{training.weight_decay: 7}]\n  sampler: best\n"
    ),
}


def test_no_mistake_hides_another(problems: Any) -> None:
    found = [problem.where for problem in problems("\n".join(MISTAKES.values()))]
    within_search = [
        "search.grid.trainin.seed",
        "search.cases[0].training.momentum",
        "search.sampler",
    ]
    assert sorted(found) == sorted([*MISTAKES, *within_search])


def test_a_combination_that_is_excluded_need_not_make_sense(load: Any) -> None:
    sweep = load("name: s\nsearch: {grid: {folds.k: [1, 3]}, exclude: [{folds.k: 1}]}\n")
    assert [c.varied["folds.k"] for c in sweep.configurations] == [3]
