"""README.md, taken at its word: its commands are run, its sweep files loaded, its code put where it says.

A command, block or part that nobody taught this file about fails. Where a command would take hours, the network or the
user's environment, a variant is run in its place, named in the function that runs it.
"""

from __future__ import annotations

import ast
import configparser
import csv
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Laid over every run of the README's: one run of a few seconds, on images that `busi` below has written.
TINY = {
    "search": "{grid: {model.encoder: [shufflenet_v2_x0_5]}}",
    "folds.use": "1",
    "dataset.image_size": "32",
    "training.epochs": "1",
    "training.batch_size": "8",
    "model.encoder_weights": "none",
}
TINY_DEMO = {**TINY, "dataset.options": "{cases: 30, height: 64, width: 64}"}


class Block(NamedTuple):
    """A fenced block of the README."""

    line: int
    language: str
    text: str


def _blocks(*languages: str) -> list[Block]:
    found = re.finditer(r"^```(.*)\n((?s:.*?))^```$", README, re.MULTILINE)
    blocks = [Block(README[: match.start()].count("\n") + 1, match[1], match[2]) for match in found]
    return [block for block in blocks if not languages or block.language in languages]


def _commands() -> list[tuple[str, ...]]:
    """The words of every command, in their order, each once; those of one line are parted at `&&`. Not of scripts."""
    commands: dict[tuple[str, ...], None] = {}
    for block in (block for block in _blocks("bash", "sh") if not block.text.startswith("#!")):
        for line in block.text.replace("\\\n", " ").splitlines():
            command: list[str] = []
            for word in [*shlex.split(line, comments=True), "&&"]:
                if word != "&&":
                    command.append(word)
                elif command:
                    commands[tuple(command)] = None
                    command = []
    return list(commands)


COMMANDS = _commands()


class Workplace(NamedTuple):
    """Where commands are run. busi: a folder of images. cluster: what tells a process of the cluster it may join."""

    folder: Path
    busi: Path
    cluster: dict[str, str]

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def variant(self, words: tuple[str, ...], settings: dict[str, str]) -> list[str]:
        """The arguments of run_sweep.py, with the folder of the results replaced and settings laid over."""
        overriding = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        return [*words[2:], "--results", str(self.results), *overriding]

    def real(self, words: tuple[str, ...]) -> list[str]:
        return self.variant(words, {**TINY, "dataset.root": str(self.busi)})


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A folder with images in BUSI's layout and a Ray cluster, started as the README says.

    On a port and in folders of its own, and with one core, so that it takes no notice of any other cluster.
    """
    from utils.datasets.phantom import Phantom

    folder = tmp_path_factory.mktemp("readme")
    busi = Phantom(cases=30, height=64, width=64).write_busi_layout(folder / "busi")
    token, head = (next(c for c in COMMANDS if c[:2] == ("ray", name)) for name in ("get-auth-token", "start"))
    port = _free_port()
    cluster = dict(words[1].split("=") for words in COMMANDS if words[0] == "export")
    cluster |= {"RAY_ADDRESS": f"127.0.0.1:{port}", "HOME": str(folder)}  # where Ray keeps the token
    _run([_script(token[0]), *token[1:]], environment=cluster)
    # Sockets lie in it, whose paths may not be long.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
        own = ["--block", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", f"--temp-dir={scratch}"]
        own += ["--node-ip-address=127.0.0.1", "--disable-usage-stats"]
        environment = {**os.environ, **cluster}
        del environment["RAY_ADDRESS"]  # it is not there yet
        process = subprocess.Popen([_script(head[0]), *head[1:], *own], stdin=subprocess.DEVNULL, env=environment)
        try:
            _until(lambda: _answers(port), process)
            yield Workplace(folder, busi, cluster)
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def finished(workplace: Workplace) -> Workplace:
    """The workplace after the README's command for a cluster, which is the one that trains."""
    words = next(words for words in COMMANDS if "--address" in words)
    output = _run([sys.executable, words[1], *workplace.real(words)], environment=workplace.cluster)
    assert "1 of 1 runs complete" in output
    return workplace


# --- What is done with a command. Each takes its words and pytest's `request`.


def _virtual_environment(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """Made without pip, which takes most of the time; then entered."""
    folder = request.getfixturevalue("tmp_path")
    made, entered = (next(c for c in COMMANDS if c[0] == name) for name in ("python", "source"))
    assert made[1:3] == ("-m", "venv")
    _run([sys.executable, *made[1:3], "--without-pip", *made[3:]], cwd=folder)
    output = _run(["bash", "-c", f"{shlex.join(entered)} && command -v python"], cwd=folder)
    assert Path(output.strip()) == folder / made[3] / "bin" / "python"


def _install(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """Checked against setup.cfg, not run; `.ci/run` runs it."""
    target = re.fullmatch(r"\.(?:\[(\w+)\])?", words[3])
    assert target and (ROOT / "pyproject.toml").is_file()
    assert target[1] is None or target[1] in _setup()["options.extras_require"]


def _tests(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """Collects this file; what is slow in it is left out where the README says so."""
    output = _run([sys.executable, "-m", *words, "--collect-only", "-q", str(Path(__file__))])
    collected, slow = (len(re.findall(pattern, output)) for pattern in ("::test_", "::test_slow_command"))
    assert collected and bool(slow) == (len(words) == 1)


def _plan(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    place: Workplace = request.getfixturevalue("finished")
    assert "1 configurations x folds = 1 runs, 1 done, 0 to run" in _main(place.real(words), request)


def _sweep_again(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """On the workplace's images, which are there already and finished: `--download` and a second start do nothing."""
    place: Workplace = request.getfixturevalue("finished")
    records = {path: path.read_bytes() for path in place.results.glob("runs/encoders/*/*/record.json")}
    assert "1 of 1 runs complete" in _main(place.real(words), request)
    assert {path: path.read_bytes() for path in records} == records and len(records) == 1


def _demo(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """With one small encoder on one fold of few images."""
    place = Workplace(request.getfixturevalue("tmp_path"), Path(), {})
    _run([sys.executable, words[1], *place.variant(words, TINY_DEMO)])
    rows = list(csv.DictReader(io.StringIO((place.results / "encoders_demo.csv").read_text(encoding="utf-8"))))
    assert [(row["rank"], row["status"], row["folds"]) for row in rows] == [("1", "complete", "1")]
    assert "results/encoders_demo.csv" in README


def _journey(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """All four stages, with one small configuration each, on one fold of few images."""
    place = Workplace(request.getfixturevalue("tmp_path"), Path(), {})
    _run([sys.executable, words[1], *place.variant(words, TINY_DEMO)])
    for stage in ("encoders", "decoders", "attention", "imbalance"):
        rows = list(csv.DictReader(io.StringIO((place.results / f"{stage}_demo.csv").read_text(encoding="utf-8"))))
        assert [(row["rank"], row["status"]) for row in rows] == [("1", "complete")], stage


def _cluster(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """Looks at what all commands of the cluster have come to, together."""
    place: Workplace = request.getfixturevalue("finished")
    record = json.loads(next(place.results.glob("runs/encoders/*/fold-0/record.json")).read_text(encoding="utf-8"))
    assert record["status"] == "complete"


def _dashboard(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """On a free port, asked for its studies, and ended."""
    place: Workplace = request.getfixturevalue("finished")
    port = _free_port()
    command = [_script(words[0]), *words[1:], "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, cwd=place.folder, stdin=subprocess.DEVNULL)
    try:
        _until(lambda: _answers(port), process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=30) as answer:
            studies = json.load(answer)["study_summaries"]
        assert [study["study_name"] for study in studies] == ["encoders"]
    finally:
        process.terminate()
        process.wait(30)


def _schema(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """In a copy of the project with the README's own parts in it."""
    copy: Path = request.getfixturevalue("extended")
    _run([sys.executable, *words[1:]], cwd=copy)
    names = (copy / "sweeps" / "schema.json").read_text(encoding="utf-8")
    assert all(f'"{name}"' in names for name in ("thyroid", "resnet10", "area_error"))


def _made_again(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """After what it makes has been deleted."""
    place: Workplace = request.getfixturevalue("finished")
    made = ["encoders.html", "encoders.md"] + ["encoders.csv", "optuna.db"] * words[2].endswith("leaderboard")
    table = (place.results / "encoders.csv").read_bytes()
    for name in made:
        (place.results / name).unlink(missing_ok=True)
    _run([sys.executable, *words[1:3], *place.real(words[1:])])
    assert all((place.results / name).is_file() for name in made)
    assert (place.results / "encoders.csv").read_bytes() == table


def _predicted(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """On the workplace's images, with its own winner."""
    place: Workplace = request.getfixturevalue("finished")
    output = request.getfixturevalue("tmp_path")
    given = ["--results", str(place.results), "--image", str(place.busi), "--output", str(output)]
    export = words[5:7] if "--export" in words else ()
    if export:
        pytest.importorskip("onnxscript")
    told = _run([sys.executable, *words[1:5], *given, *export])
    assert "results/predictions/encoders" in README
    if export:
        assert "Exported:" in told and len(list(output.glob("*.onnx"))) == 1
    else:
        assert "30 of 30 images predicted" in told and len(list(output.rglob("*_mask.png"))) == 30


def _looked_at(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """On the workplace's images; the viewer without its window."""
    if words[2].endswith("explain"):
        pytest.importorskip("pytorch_grad_cam")
    place: Workplace = request.getfixturevalue("finished")
    output = request.getfixturevalue("tmp_path")
    viewing = words[2].endswith("view")
    # The winner has no root of its own here: images are named for both.
    given = ["--results", str(place.results), "--image", str(place.busi), "--output", str(output)]
    told = _run([sys.executable, *words[1:5], *given, *["--contact-sheet"] * viewing])
    assert ("A contact sheet instead" if viewing else "30 of 30 explained") in told and list(output.glob("*.png"))


def _metrics_table(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    output = _run([sys.executable, *words[1:]])
    from utils.metrics import METRICS

    assert all(f"`{name}`" in output for name in METRICS)


def _miniature(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """Then the dataset of that name reads it."""
    from utils.datasets.case import DATASETS

    folder = request.getfixturevalue("tmp_path")
    _run([sys.executable, *words[1:]], cwd=folder, environment={"PYTHONPATH": str(ROOT)})
    assert len(DATASETS[words[3]](folder / words[4]).cases()) > 10


def _of_busi(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """On generated images in the place of BUSI."""
    from utils.datasets.phantom import Phantom

    folder = request.getfixturevalue("tmp_path")
    Phantom(cases=12, height=64, width=64).write_busi_layout(folder / words[4])
    _run([sys.executable, *words[1:]], cwd=folder, environment={"PYTHONPATH": str(ROOT)})
    assert (folder / words[5]).exists()


def _chaos(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """Asked for its options; tests/test_chaos.py runs it, in its short form."""
    output = _run([sys.executable, *words[1:3], "--help"])
    assert all(word in output for word in words if word.startswith("--"))


Runner = Callable[[tuple[str, ...], pytest.FixtureRequest], None]


def _runner(words: tuple[str, ...]) -> tuple[Runner | None, bool]:
    """What runs a command, None for a command that is not known, and whether it is slow."""
    match words:
        case ["python", "-m", "venv", _] | ["source", _]:
            return _virtual_environment, False
        case ["pip", "install", "-e", _]:
            return _install, False
        case ["pytest"] | ["pytest", "-m", "not slow"]:
            return _tests, True
        case ["python", "run_sweep.py", "sweeps/journey.yaml", *_]:
            return _journey, True
        case ["python", "run_sweep.py", _, *options]:
            known = {"--plan": _plan, "--demo": _demo, "--address": _cluster}
            return next((known[option] for option in options if option in known), _sweep_again), True
        case ["export", "RAY_AUTH_MODE=token"] | ["ray", "get-auth-token", "--generate"] | ["ray", "start", "--head"]:
            return _cluster, True
        case ["optuna-dashboard", *_]:
            return _dashboard, True
        case ["python", "-m", "experiments.sweep.schema"]:
            return _schema, True
        case ["python", "-m", "experiments.report" | "experiments.leaderboard", _]:
            return _made_again, True
        case ["python", "-m", "experiments.predict", "--sweep", "encoders", *_]:
            return _predicted, True
        case ["python", "-m", "experiments.explain" | "experiments.view", "--sweep", "encoders", *_]:
            return _looked_at, True
        case ["python", "-m", "utils.metrics.table"]:
            return _metrics_table, False
        case ["python", "-m", "utils.datasets.miniatures", *_]:
            return _miniature, False
        case ["python", "-m", "utils.splits.curation" | "utils.augment", *_]:
            return _of_busi, True
        case ["python", "-m", "tests.chaos", *_]:
            return _chaos, False
    return None, False


@pytest.mark.parametrize("words", [c for c in COMMANDS if not _runner(c)[1]], ids=shlex.join)
def test_command(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    run, _ = _runner(words)
    assert run is not None, f"tests/test_readme.py does not know how to run: {shlex.join(words)}"
    run(words, request)


@pytest.mark.slow
@pytest.mark.parametrize("words", [c for c in COMMANDS if _runner(c)[1]], ids=shlex.join)
def test_slow_command(words: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    run, _ = _runner(words)
    assert run is not None
    run(words, request)


# --- What starts a sweep elsewhere: a script for SLURM, a service of systemd.

# Stand for SLURM's programs, and for a sweep that ends with the code that it is told.
STAND_INS = {
    "srun": 'shift && exec "$@"',
    "scontrol": 'echo "$*" > requeued',
    "python": 'echo "$*" > given; exit "$EXIT_CODE"',
}


def _given_to_the_sweep(words: list[str]) -> None:
    """Fails unless these are the words of a sweep that is shipped, and options that there are."""
    from experiments.sweep import load_sweep
    from run_sweep import parser

    assert words[0] == "run_sweep.py"
    options = parser().parse_args(words[1:])
    assert load_sweep(ROOT / options.sweep, options.overrides).configurations


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (1, False), (2, False), (143, True)])
def test_slurm_script(code: int, requeued: bool, tmp_path: Path) -> None:
    [script] = [block.text for block in _blocks("bash") if "#SBATCH" in block.text]
    for name, text in STAND_INS.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "SLURM_JOB_ID": "4711",
        "EXIT_CODE": str(code),
    }
    entered = tmp_path / ".venv" / "bin" / "activate"
    entered.parent.mkdir(parents=True)
    entered.touch()
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env={**os.environ, **environment}, timeout=60)
    assert (tmp_path / "requeued").exists() is requeued
    assert not requeued or (tmp_path / "requeued").read_text() == "requeue 4711\n"
    _given_to_the_sweep(shlex.split((tmp_path / "given").read_text()))


def test_systemd_service() -> None:
    [block] = _blocks("ini")
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # systemd tells capitals apart
    unit.read_string(block.text)
    service = unit["Service"]
    program, *words = service["ExecStart"].split()
    assert program == f"{service['WorkingDirectory']}/.venv/bin/python"
    _given_to_the_sweep(words)
    # 1: some runs failed; 2: a mistake; 143: asked to stop. All else is a sweep that was killed.
    assert (service["RestartPreventExitStatus"], service["SuccessExitStatus"]) == ("1 2", "143")


# --- Sweep files.


@pytest.mark.parametrize("block", _blocks("yaml"), ids=lambda block: yaml.safe_load(block.text)["name"])
def test_sweep_file(block: Block, tmp_path: Path) -> None:
    from experiments.sweep import load_sweep

    shutil.copy(ROOT / "sweeps" / "defaults.yaml", tmp_path)
    file = tmp_path / "sweep.yaml"
    file.write_text(block.text, encoding="utf-8")
    promised = re.findall(r"# (\d+) configurations", block.text)
    assert [len(load_sweep(file).configurations)] == [int(count) for count in promised]


# --- Code: put into a copy of the project where its first line says, then used.

CHECKS = {
    "utils/datasets/thyroid.py": """
        from pathlib import Path
        from experiments.sweep import load_sweep
        from utils.datasets import DATASETS
        from utils.datasets.phantom import Phantom
        from utils.splits.audit import audit
        Path("own.yaml").write_text("name: own\\ndataset: {name: thyroid, root: images}")
        settings = load_sweep("own.yaml").settings.dataset
        Phantom(cases=12, height=64, width=64).write_busi_layout(settings.root)
        (settings.root / "normal").rename("elsewhere")
        report = audit(DATASETS[settings.name](settings.root))
        assert not report.errors and {case.label for case in report.usable} == {"benign", "malignant"}
    """,
    "models/encoders/resnet10.py": """
        import torch
        from pathlib import Path
        from experiments.sweep import load_sweep
        from models.network import Network
        Path("own.yaml").write_text("name: own\\nmodel: {encoder: resnet10, encoder_weights: none}")
        encoder = load_sweep("own.yaml").settings.model.encoder
        for decoder in ("unet", "deeplabv3"):
            network = Network((encoder.name, encoder.options), (decoder, {}), classes=2)
            output = network(torch.rand(2, 1, 64, 64))
            assert output.masks.shape == (2, 1, 64, 64) and output.labels.shape == (2, 2)
            (output.masks.sum() + output.labels.sum()).backward()
            assert all(parameter.grad is not None for parameter in network.parameters())
    """,
    "utils/metrics/overlap.py": """
        import math
        import numpy as np
        from pathlib import Path
        from experiments.leaderboard import Leaderboard
        from experiments.sweep import load_sweep
        from utils.metrics import case_scores
        Path("own.yaml").write_text("name: own\\nobjective: {metric: area_error}")
        objective = load_sweep("own.yaml").settings.objective
        assert objective.mode == "min"
        true, drawn = np.array([[1, 1, 0, 0]], bool), np.array([[0, 0, 1, 0]], bool)
        assert case_scores(drawn, true)[objective.metric] == 0.5
        assert math.isnan(case_scores(drawn, true & drawn)[objective.metric])
        assert "area_error_ci_low" in Leaderboard("own", [], "area_error", "min", lambda *run: Path()).as_csv()
    """,
}


def _destination(block: Block) -> str:
    return block.text.partition("\n")[0].removeprefix("# ")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with every part that the README shows: in a new file, or at the end of one there is."""
    copy = tmp_path_factory.mktemp("extended")
    for name in ("experiments", "models", "utils", "sweeps"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for block in _blocks("python"):
        with (copy / _destination(block)).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{block.text}")
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("block", _blocks("python"), ids=_destination)
def test_code(block: Block, extended: Path, tmp_path: Path) -> None:
    check = CHECKS.get(_destination(block))
    assert check is not None, f"tests/test_readme.py does not know what {_destination(block)} is to do"
    _run([sys.executable, "-c", textwrap.dedent(check)], cwd=tmp_path, environment={"PYTHONPATH": str(extended)})


# --- Words.


def test_every_block_says_what_it_is() -> None:
    assert {block.language for block in _blocks()} == {"bash", "ini", "python", "yaml"}
    assert README.count("```") == 2 * len(_blocks())


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links and all((ROOT / link).exists() for link in links)


def test_it_names_no_setting_or_option_that_does_not_exist() -> None:
    from experiments.explain.__main__ import parser as explaining
    from experiments.predict.__main__ import parser as predicting
    from experiments.sweep.schema.sweep_file import SweepFile
    from experiments.view.__main__ import parser as viewing
    from run_sweep import parser as sweeping

    model = SweepFile.model_json_schema(by_alias=True)
    sections = {
        key: model["$defs"][value["$ref"].rpartition("/")[2]]["properties"]
        for key, value in model["properties"].items()
        if "$ref" in value
    }
    known = {f"{key}.{name}" for key, section in sections.items() for name in section}
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"\b((?:dataset|folds|model|training|objective|resources)\.[a-z_]+)", prose))
    assert named and named <= known
    assert set(re.findall(r"`folds\.(\w+)`", prose)) >= set(sections["folds"]) - {"seed"}
    commands = (sweeping(), predicting(), explaining(), viewing())
    offered = {option for command in commands for action in command._actions for option in action.option_strings}
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", prose)) <= offered


def test_it_names_every_part_of_a_network() -> None:
    """In the row of its key, and nothing there that does not exist."""
    from experiments.sweep.schema.keys import registry_of
    from models.encoders import encoder_names

    table = README.partition("| key | what there is |")[2].partition("\n\n")[0]
    rows = {line.split("|")[1].strip(" `"): line for line in table.splitlines()[2:]}
    for key in ("decoder", "attention", "bottleneck", "latent_augmentation", "classification_head"):
        registry = registry_of(f"model.{key}")
        assert registry is not None
        missing = [name for name in registry() if f"`{name}`" not in rows[f"model.{key}"]]
        assert missing == [], f"{key}: {missing}"
    for key in ("segmentation_loss", "classification_loss"):
        registry = registry_of(f"training.{key}")
        assert registry is not None
        assert [name for name in registry() if f"`{name}`" not in rows[f"training.{key}"]] == []
    assert set(re.findall(r"`([a-z_0-9]+)`", rows["model.encoder"])) <= set(encoder_names())


def test_it_names_every_shipped_sweep() -> None:
    table = README.partition("| shipped in [sweeps/](sweeps) | question |")[2].partition("\n\n")[0]
    named = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(named) == sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml") if path.stem != "defaults")


def test_it_explains_the_columns_and_statuses_that_there_are() -> None:
    from experiments.leaderboard import Entry, Leaderboard
    from experiments.leaderboard.leaderboard import STATUSES
    from utils.metrics import METRICS

    board = Leaderboard("s", [Entry("0" * 12, "n", {"model.encoder": "resnet18"})], "dice", "max", lambda *run: Path())
    header = next(csv.reader(io.StringIO(board.as_csv())))
    table = README.partition("| column | meaning |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    explained = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    metrics = list(METRICS)
    general = [name.replace(f"{metrics[0]}_", "<metric>_") for name in header]
    assert explained == [name for name in general if not name.startswith(tuple(f"{metric}_" for metric in metrics[1:]))]
    assert all(f"`{name}`" in README for name in (*METRICS, *STATUSES))


def test_what_is_imported_is_what_is_installed() -> None:
    """Both ways: a missing requirement breaks the first command, and one too many only takes time."""
    setup = _setup()
    extras = setup["options.extras_require"]
    needed, testing, optional = (
        {re.split(r"[\[<>=]", line)[0].lower() for line in text.split()}
        for text in (
            setup["options"]["install_requires"],
            extras["test"],
            "".join(text for name, text in extras.items() if name != "test"),
        )
    )
    packages = [path for name in ("experiments", "models", "utils") for path in ROOT.glob(f"{name}/**/*.py")]
    ours, theirs = _imported([ROOT / "run_sweep.py", *packages]), _imported(ROOT.glob("tests/**/*.py"))
    assert [module for module, names in ours.items() if not names & needed] == []
    # What only benchmarks and tests of stores want need not be installed here, so that only its own name is known.
    strangers = [module for module, names in theirs.items() if not names & (needed | testing)]
    assert [module for module in strangers if module.replace("_", "-") not in optional] == []
    commands = {"optuna-dashboard"}
    tools = {"jsonschema", "mypy", "pytest-timeout", "pytest-xdist", "ruff", "types-pyyaml"}
    assert needed - set().union(*ours.values()) == commands
    assert testing - set().union(*theirs.values()) == tools


def _imported(files: Iterable[Path]) -> dict[str, set[str]]:
    """Modules that are neither Python's nor ours -> the distributions that have them."""
    distributions = packages_distributions()
    files = list(files)
    # Scripts of tests import the files beside them.
    own = {path.stem for path in (*ROOT.iterdir(), *files)} | set(sys.stdlib_module_names)
    modules = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    return {
        module: {name.lower().replace("_", "-") for name in distributions.get(module, ())} for module in modules - own
    }


# --- How things are run.


def _run(command: list[str], cwd: Path = ROOT, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a command printed on stdout; fails with all that it printed unless it exits with 0."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _main(arguments: list[str], request: pytest.FixtureRequest) -> str:
    """run_sweep.py with arguments, in this process, where torch is imported only once."""
    from run_sweep import main

    request.getfixturevalue("monkeypatch").chdir(ROOT)
    captured = request.getfixturevalue("capsys")
    code = main(arguments)
    output, errors = captured.readouterr()
    assert code == 0, output + errors
    return output


def _script(name: str) -> str:
    """A command that is installed beside this Python."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path is not None, f"{name} is not installed"
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, f"{process.args!r} does not answer"
        time.sleep(0.1)


def _setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup
