"""Sweep files that cannot be read, that say nothing or that say nonsense; journeys and ``--set`` likewise."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.bad_inputs.bad_input import FILES, BadInputs, Make, Says, sweep

bad = BadInputs()

_NO_KEY = "must be a dotted key, =, and a value, such as training.epochs=5"
_NOT_ALLOWED = "is not allowed here"


def _file(name: str) -> Make:
    def make(folder: Path) -> list[str]:
        for path in FILES.glob("*.yaml"):
            shutil.copy(path, folder)
        return [f"{name}.yaml"]

    return make


def _overrides(*values: str) -> Make:
    def make(folder: Path) -> list[str]:
        sweep(folder, "name: s\n")
        return ["sweep.yaml", *(word for value in values for word in ("--set", value))]

    return make


AS_THEY_STAND: dict[str, tuple[Says, ...]] = {
    "alias_bomb": (("alias_bomb.yaml:2", "stands for more than 100000 values once its aliases are expanded"),),
    "merge_bomb": (("merge_bomb.yaml:2", "stands for more than 100000 values"),),
    "alias_of_itself": (("alias_of_itself.yaml:2", "contains itself by an alias"),),
    "unknown_alias": (("unknown_alias.yaml:2", "undefined alias 'defaults'"),),
    "base_is_itself": (("base (base_is_itself.yaml:2)", "leads back to itself: base_is_itself.yaml -> base_is"),),
    "base_circle": (("base (base_circle_2.yaml:1)", "base_circle.yaml -> base_circle_2.yaml -> base_circle.yaml"),),
    "base_missing": (("base_circle_3.yaml (base_missing.yaml:2)", "No such file", "mean 'base_circle_2.yaml'?"),),
    "base_is_a_list": (("base (base_is_a_list.yaml:2)", "must be the path of a YAML file; got ['base_circle"),),
    "base_is_a_folder": (("(base_is_a_folder.yaml:2)", "cannot be read: Is a directory"),),
    "base_with_a_nul": (("base (base_with_a_nul.yaml:2)", "is no usable path: embedded null byte"),),
    "python_tag": (("python_tag.yaml:1", "python/object/apply", _NOT_ALLOWED),),
    "python_tag_in_a_key": (("python_tag_in_a_key.yaml:2", "python/name:os.system", _NOT_ALLOWED),),
    "binary_tag": (("binary_tag.yaml:2", "the tag 'tag:yaml.org,2002:binary'", _NOT_ALLOWED),),
    "samples_without_a_space": (("search.samples (samples_without_a_space.yaml:2)", "there is none: add one"),),
    "keys_twice": (("lr (keys_twice.yaml:5)", "stands here twice; the first is at keys_twice.yaml:3"),),
    "indented_with_a_tab": (("indented_with_a_tab.yaml:3", "a tab; indent with spaces"),),
    "bracket_left_open": (("bracket_left_open.yaml:3", "is not valid YAML", "expected ',' or ']', but got '}'"),),
    "two_documents": (("two_documents.yaml:2", "expected a single document"),),
    "empty": (("empty.yaml:1", "is empty"),),
    "only_a_comment": (("only_a_comment.yaml:1", "is empty"),),
    "a_list": (("a_list.yaml:1", "must be a mapping of keys to values"),),
    "no_name": (("name (no_name.yaml:1)", "is missing"),),
    "names_of_nothing": (
        ("dataset.name (names_of_nothing.yaml:2)", "'busy'", "did you mean 'busi'?", "Valid: busi, crops, folders, "),
        ("dataset.image_sise", "unknown key", "did you mean 'image_size'?"),
        ("dataset.on_error", "got 'ignore'. Valid: stop, skip."),
        ("model.encoder (names_of_nothing.yaml:3)", "'resnet19'", "did you mean 'resnet18'?"),
        ("model.encoder_weights", "did you mean 'imagenet'?"),
        ("model.decoder", "did you mean 'unet'?"),
        ("model.bottleneck", "did you mean 'cbam'?"),
        ("model.attention", "did you mean 'scse'?"),
        ("training.optimizer (names_of_nothing.yaml:4)", "Valid: adamw, adam, sgd."),
        ("training.segmentation_loss", "did you mean 'dice'?"),
        ("training.augmentation[0]", "did you mean 'flip'?"),
        ("training.learning_rate", "unknown key; did you mean 'training.lr'?"),
        ("objective.metric (names_of_nothing.yaml:5)", "did you mean 'dice'?"),
        ("serach (names_of_nothing.yaml:6)", "did you mean 'search'?"),
    ),
    "wrong_types": (
        ("question (wrong_types.yaml:2)", "must be text; got ['why', 'not']"),
        ("dataset.root (wrong_types.yaml:3)", "must be a path; got 7"),
        ("dataset.image_size", "must be a side or [height, width], each 8 to 8192 pixels; got 'large'"),
        ("dataset.preprocessing", "must be a list; got 'clahe'"),
        ("dataset.options", "must be a mapping of keys to values; got 3"),
        ("folds.k (wrong_types.yaml:4)", "must be a whole number; got '3'"),
        ("folds.validation", "must be a number; got 'a lot'"),
        ("folds.use", "must be a whole number; got 1.5"),
        ("model.encoder (wrong_types.yaml:5)", "must be a name, or {name: {option: value}}; got 18"),
        ("model.deep_supervision", "must be true or false; got 'perhaps'"),
        ("model.batch_norm_momentum", "must be a number; got [0.1]"),
        ("training.epochs (wrong_types.yaml:6)", "must be a whole number; got 1.5"),
        ("training.batch_size", "must be a whole number; got True"),
        ("training.lr", "must be a number; got '3e-4'"),
        ("training.augmentation", "must be a list; got {'flip': 1}"),
        ("training.early_stopping", "must be a mapping of keys to values; got 12"),
        ("search.grid (wrong_types.yaml:7)", "must be a mapping of keys to values; got ['a', 'b']"),
        ("racing (wrong_types.yaml:8)", "must be a mapping of keys to values; got 'off'"),
        ("resources.gpus (wrong_types.yaml:9)", "must be auto or a number from 0 to 1024; got 'many'"),
        ("resources.cpus", "must be auto or a whole number", "got 0"),
    ),
    "numbers_that_are_none": (
        ("folds.validation (numbers_that_are_none.yaml:2)", "must be a finite number; got nan"),
        ("folds.k", "must be at least 1; got -3"),
        ("folds.seed", "must be at least 0; got -1"),
        ("training.lr (numbers_that_are_none.yaml:3)", "must be a finite number; got inf"),
        ("training.weight_decay", "must be a finite number; got -inf"),
        ("training.momentum", "must be a finite number; got inf"),
        ("training.gradient_clip", "must be a finite number; got nan"),
        ("training.epochs", "must be at least 1; got 0"),
        ("training.warmup_epochs", "must be at least 0; got -1"),
        ("search.grid.training.batch_size[1] (numbers_that_are_none.yaml:4)", "must be a finite number; got nan"),
    ),
    "numbers_too_large": (
        ("dataset.image_size (numbers_too_large.yaml:2)", "each 8 to 8192 pixels; got 1000000000"),
        ("folds.k (numbers_too_large.yaml:3)", "must be at most 100; got 1000000"),
        ("folds.seed", "must be less than 9223372036854775808; got 99999999999999999999999999"),
        ("training.seed (numbers_too_large.yaml:4)", "must be less than 9223372036854775808; got 18446744073709551616"),
        ("training.epochs", "must be a whole number; got 1e+300"),
        ("training.batch_size", "must be at most 65536; got 9223372036854775808"),
        ("training.lr", "must be at most 10; got 1000000000.0"),
        ("resources.cpus (numbers_too_large.yaml:5)", "must be auto or a whole number", "got 1000000000"),
        ("resources.retries", "must be at most 100; got 1000000"),
    ),
    "grid_bomb": (
        ("x (grid_bomb.yaml:2)", "unknown key"),
        ("search (grid_bomb.yaml:3)", "makes 1600000 configurations; at most 10000 are possible"),
    ),
    "search_of_nothing": (
        ("search.grid.training.seed (search_of_nothing.yaml:3)", "must have 1 to 10000 values; got 0"),
        ("search.grid.training.lr", "must be a list of values, such as [1, 2]; got 0.1"),
        ("search.grid.training ", "is no single setting; write dotted keys. Valid: training.seed,"),
        ("search.grid.objective.metric", "cannot vary; write one sweep for each"),
        ("search.grid.trainig.epochs", "no such setting; did you mean 'training.epochs'?"),
        ("search.cases[0] (search_of_nothing.yaml:4)", "has no name; write {name: ..., <dotted key>: <value>}"),
        ("search.cases[1].training.epochs", "must be at least 1; got 0"),
        ("search.cases[2].name", "another case has this name; got 'a'"),
        ("search.cases[3]", "must be a mapping of keys to values; got 7"),
        ("search.exclude[0] (search_of_nothing.yaml:5)", "is empty and would drop everything"),
    ),
    "search_that_excludes_everything": (("search.exclude (search_that", "yaml:4)", "leaves no configuration"),),
    "grid_with_equal_values": (("search.grid.training.lr[1] (grid_with", "stands in the grid twice; got 0.1"),),
    "space_upside_down": (
        ("search.samples (space_upside_down.yaml:2)", "is missing: how many configurations are to be drawn"),
        ("search.space.training.lr.log_uniform[0]", "must be greater than 0 for a logarithmic range; got 0"),
        ("search.space.training.momentum.uniform[0]", "must be less than the upper bound, 0.1; got 0.9"),
        ("search.space.training.epochs.int[1]", "must be a whole number; got 5.5"),
        ("search.space.training.optimizer.choice", "must be a list of 1 to 10000 values; got []"),
        ("search.space.training.weight_decay.normal", "Valid: uniform, log_uniform, int, choice, when."),
    ),
    "contradictions": (
        ("folds.k (contradictions.yaml:2)", "needs test", "such as test: 0.2; got 1"),
        ("objective.metric (contradictions.yaml:4)", "measures the diagnosis, but the network makes none"),
    ),
    "racing": (
        ("racing.alpha (racing.yaml:2)", "must be less than 0.5; got 2"),
        ("racing.margn", "did you mean 'margin'?"),
    ),
    "references_to_nothing": (
        ("model.encoder (references_to_nothing.yaml:3)", "decoders has no results in results; run it first: python"),
        ("model.decoder (references_to_nothing.yaml:4)", "'../../etc/passwd' is no name of a sweep"),
        ("model.bottleneck (references_to_nothing.yaml:5)", "did you mean 'model.bottleneck'?"),
        ("model.attention (references_to_nothing.yaml:6)", "refers to the sweep that it stands in"),
        ("training.lr (references_to_nothing.yaml:8)", "is no reference to the winner of a sweep", "got '${env:HOME}'"),
        ("training.epochs (references_to_nothing.yaml:9)", "must be the whole of the value"),
    ),
    "journey_to_itself": (
        ("stages[0] (journey_to_itself.yaml:2)", "is a journey itself; name its stages instead"),
        ("missing.yaml (journey_to_itself.yaml:2)", "No such file"),
        ("empty.yaml", "is empty"),
        ("a_list.yaml", "must be a mapping"),
        (". (journey_to_itself.yaml:2)", "cannot be read: Is a directory"),
        ("stages[6] (journey_to_itself.yaml:2)", "is no path of a file; got 'a\\x00b.yaml'"),
    ),
    "journey_with_settings": (
        ("training (journey_with_settings.yaml:2)", "belongs into the sweep files; a journey only names them"),
        ("stagse (journey_with_settings.yaml:3)", "unknown key; did you mean 'stages'?"),
        ("stages (journey_with_settings.yaml:4)", "must be a list; got 'no_name.yaml'"),
    ),
}
for _name, _says in AS_THEY_STAND.items():
    bad.add(_name, _file(_name), *_says)


@bad(("sweep.yaml:1", "is not UTF-8 text"))
def utf_16(folder: Path) -> None:
    sweep(folder, "name: s\n".encode("utf-16"))


@bad(("sweep.yaml:2", "is not UTF-8 text"))
def latin_1(folder: Path) -> None:
    sweep(folder, "name: s\nquestion: Für wen?\n".encode("latin-1"))


@bad(("sweep.yaml:2", "is not UTF-8 text"))
def binary_garbage(folder: Path) -> None:
    sweep(folder, b"\x7fELF\x02\x01\x01\n\xff\xfe\x80\x00" * 100)


@bad(("sweep.yaml:2", "is not valid YAML", "special characters are not allowed"))
def nul_bytes(folder: Path) -> None:
    sweep(folder, "name: s\nquestion: \0\0\n")


@bad(("training.epochz (sweep.yaml:2)", "unknown key; did you mean 'epochs'?"))
def byte_order_mark_and_a_mistake(folder: Path) -> None:
    sweep(folder, b"\xef\xbb\xbfname: s\ntraining: {epochz: 3}\n")


@bad(("sweep.yaml", "is larger than 512 kB: no sweep file"))
def a_megabyte(folder: Path) -> None:
    sweep(folder, "name: s\n" + "# more\n" * 150_000)


@bad(("sweep.yaml:2", "nested too deeply"))
def ten_thousand_lists_in_each_other(folder: Path) -> None:
    sweep(folder, "name: s\nx: " + "[" * 10_000 + "]" * 10_000)


@bad(("sweep.yaml:2", "nested too deeply"))
def ten_thousand_mappings_in_each_other(folder: Path) -> None:
    sweep(folder, "name: s\nx: " + "{a: " * 10_000 + "}" * 10_000)


@bad(("sweep.yaml:2", "is no int that can be read"))
def a_number_of_ten_thousand_digits(folder: Path) -> None:
    sweep(folder, "name: s\ntraining: {epochs: " + "9" * 10_000 + "}\n")


@bad(("sweep.yaml:2", "is no int that can be read"))
def a_hexadecimal_number_of_ten_thousand_digits(folder: Path) -> None:
    sweep(folder, "name: s\ntraining: {epochs: 0x" + "f" * 10_000 + "}\n")


@bad(("base (base19.yaml:1)", "more than 20 files deep"))
def a_staircase_of_bases(folder: Path) -> None:
    sweep(folder, "name: s\nbase: base1.yaml\n")
    for number in range(1, 30):
        sweep(folder, f"base: base{number + 1}.yaml\n", f"base{number}.yaml")


@bad(("sweep.yaml", "No such file or directory", "did you mean 'sweeps.yaml'?"))
def a_file_that_is_not_there(folder: Path) -> None:
    sweep(folder, "name: s\n", "sweeps.yaml")


@bad(("folder", "cannot be read: Is a directory"))
def a_folder_as_the_sweep_file(folder: Path) -> list[str]:
    (folder / "folder").mkdir()
    return ["folder"]


@bad(("embedded null byte",))
def a_sweep_file_with_a_nul(folder: Path) -> list[str]:
    return ["sweep\0.yaml"]


@bad(("cannot be read: File name too long",))
def a_sweep_file_of_five_thousand_letters(folder: Path) -> list[str]:
    return ["s" * 5000]


@bad(("/dev/zero", "is larger than 512 kB: no sweep file"))
def an_endless_sweep_file(folder: Path) -> list[str]:
    return ["/dev/zero"]


bad.add(
    "overrides_of_no_form",
    _overrides("training.epochs", "=5", ".=5", "training..lr=1", "", "training.lr=[1", "training.lr=!!python/none x"),
    ("--set training.epochs:", _NO_KEY),
    ("--set =5:", _NO_KEY),
    ("--set .=5:", _NO_KEY),
    ("--set training..lr=1:", _NO_KEY),
    ("--set :", _NO_KEY),
    ("--set training.lr=[1", "is not valid YAML"),
    ("--set training.lr=!!python/none x", _NOT_ALLOWED),
)
bad.add(
    "overrides_of_nonsense",
    _overrides("training.epoch=5", "training.epochs.x=5", "dataset=busi", "search.grid.model.encoder=5", "folds.k=nan"),
    ("training.epoch (--set training.epoch=5)", "unknown key; did you mean 'epochs'?"),
    ("training.epochs (--set training.epochs.x=5)", "must be a whole number; got {'x': 5}"),
    ("dataset (--set dataset=busi)", "must be a mapping of keys to values; got 'busi'"),
    ("search.grid.model.encoder (--set search.grid.model.encoder=5)", "must be a list of values"),
    ("folds.k (--set folds.k=nan)", "must be a whole number; got 'nan'"),
)
bad.add(
    "override_of_the_base", _overrides("base=other.yaml"), ("--set base=other.yaml", "the base belongs into the file")
)
bad.add(
    "overrides_of_resources_that_no_machine_has",
    _overrides("resources.cpus=1000000000", "resources.slots=0", "resources.gpus=1e9"),
    ("resources.cpus", "must be auto or a whole number from 1 to 65536; got 1000000000"),
    ("resources.slots", "must be auto or a whole number from 1 to 65536; got 0"),
    ("resources.gpus", "must be auto or a number from 0 to 1024"),
)
bad.add("override_of_a_sampler_of_nothing", _overrides("search.sampler=random"), ("search.sampler", "there is none"))
for _what, (_key, _value, _why) in {
    "an_open_quotation": ("command", '"mail \'me"', "cannot be split into words: no closing quotation"),
    "no_program": ("command", "' '", "must be a program and its arguments"),
    "a_list": ("command", "[mail, me]", "must be text"),
    "a_file": ("webhook", "file:///etc/passwd", "must be a URL that begins with https:// or http://"),
    "no_host": ("webhook", "'https://'", "must be a URL"),
    "a_port_too_high": ("webhook", "'http://a:99999'", "must be a URL"),
    "a_newline": ("webhook", '"http://a/\\nHost: b"', "must be a URL"),
}.items():
    _given = f"notify.{_key}={_value}"
    bad.add(f"notification_with_{_what}", _overrides(_given), (f"notify.{_key}", _why))
bad.add(
    "a_name_with_a_reference",
    lambda folder: sweep(folder, "name: ['${']\nsearch: {}\n"),
    ("name[0] (sweep.yaml:1)", "must be written out"),
)
