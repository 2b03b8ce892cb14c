"""Whatever a file holds, reading it gives a sweep or a UserError, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from experiments.sweep import Sweep, load_sweep
from experiments.sweep.schema.keys import variable_keys
from utils.errors import UserError

SWEEPS = Path(__file__).resolve().parents[3] / "sweeps"


def attempt(folder: Path, text: str | bytes, overrides: list[str], demo: bool = False) -> None:
    path = folder / "s.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    try:
        assert isinstance(load_sweep(path, overrides, demo=demo), Sweep)
    except UserError as error:
        assert error.problems
        assert all(str(problem) for problem in error.problems)


slow_is_fine = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

yaml_like = st.text(st.sampled_from("abn:{}[]-,&*!|>'\"#%@`<>=~?. \n\t01e+_\\"), max_size=60)


@slow_is_fine
@given(text=st.one_of(st.text(max_size=80), yaml_like), override=st.one_of(st.text(max_size=20), yaml_like))
@example(text="name: s", override="search=")
@example(text="name: s", override="search.grid=5")
@example(text="name: s", override="search.cases.0.name=x")
@example(text="name: s", override="name.x.y=1")
@example(text="a: &a [*a]", override="x=1")
@example(text="base: '\\0'", override="x=1")
def test_any_text(tmp_path_factory: Any, text: str, override: str) -> None:
    attempt(tmp_path_factory.mktemp("fuzz"), text, [override])


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**310),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["busi", "phantom", "dice", "auroc", "resnet18", "none", "auto", "min", "case", "${x}", "1", ""]),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["unet", "focal", "gamma", "name", "a"]), inner, max_size=2)
    ),
    max_leaves=5,
)
keys = [
    *variable_keys(),
    "objective.metric",
    "objective.mode",
    "folds.use",
    "dataset.options.cases",
    "training.x",
    "case",
]
keys += ["name", "model.decoder.unet.attention", "training", ""]


def tree(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Nested mappings from dotted keys; a later key replaces what is in its way."""
    root: dict[str, Any] = {"name": "s"}
    for key, value in pairs:
        *above, last = key.split(".")
        inside = root
        for step in above:
            if not isinstance(inside.get(step), dict):
                inside[step] = {}
            inside = inside[step]
        inside[last] = value
    return root


dotted = st.dictionaries(st.sampled_from(keys), anything, max_size=3)
searches = st.fixed_dictionaries(
    {},
    optional={
        "grid": st.dictionaries(st.sampled_from(keys), st.one_of(st.lists(anything, max_size=3), anything), max_size=3),
        "cases": st.one_of(st.lists(st.one_of(dotted, anything), max_size=3), anything),
        "exclude": st.one_of(st.lists(st.one_of(dotted, anything), max_size=2), anything),
        "space": anything,
        "sampler": anything,
        "other": anything,
    },
)


@slow_is_fine
@example(pairs=[("dataset.name", {"unet": "${"})], search={}, demo=False)
@example(pairs=[("training.x", {"a": [float("nan"), "${"]})], search={"grid": {"training.x": ["${"]}}, demo=True)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(keys), anything), max_size=4),
    search=st.one_of(searches, anything),
    demo=st.booleans(),
)
def test_any_values_at_known_keys(tmp_path_factory: Any, pairs: list[tuple[str, Any]], search: Any, demo: bool) -> None:
    text = json.dumps({**tree(pairs), "search": search})
    for word, number in (("NaN", ".nan"), ("-Infinity", "-.inf"), ("Infinity", ".inf")):
        text = text.replace(word, number)
    attempt(tmp_path_factory.mktemp("fuzz"), text, [], demo)


@slow_is_fine
@given(content=st.binary(max_size=80))
@example(content=b"\xff\xfen\x00a\x00")
@example(content=b"name: s\ntraining: {epochs: 0x" + b"f" * 9000 + b"}")
def test_any_bytes(tmp_path_factory: Any, content: bytes) -> None:
    attempt(tmp_path_factory.mktemp("fuzz"), content, [])


shipped = [path.read_text(encoding="utf-8") for path in sorted(SWEEPS.glob("*.yaml"))]


@slow_is_fine
@given(
    text=st.sampled_from(shipped),
    place=st.floats(0, 1),
    gone=st.integers(0, 12),
    instead=st.one_of(yaml_like, st.sampled_from(["null", "[]", "{}", "-1", ".nan", "1e400", "'", "!!set", "&a *a"])),
)
def test_shipped_sweeps_with_a_slip_of_the_pen(
    tmp_path_factory: Any, text: str, place: float, gone: int, instead: str
) -> None:
    start = int(place * len(text))
    attempt(tmp_path_factory.mktemp("fuzz"), text[:start] + instead + text[start + gone :], [])
