"""`--demo`: the same question on phantoms, small enough for two cores; what is asked stays, what it costs goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.sweep.file.layers import merge
from experiments.sweep.file.reader import Node

SOURCE = "--demo"

# 24 encoders x 3 folds on two cores must take some ten minutes: 20 s on one core for a run.
IMAGE_SIZE = 64
EPOCHS = 4
BATCH_SIZE = 8
# Some thirty steps in all: running statistics that follow slowly would still be those of the first images.
BATCH_NORM_MOMENTUM = 0.1
# One after each epoch of a few seconds would take a tenth of the time, to save no more than those seconds.
CHECKPOINT_OVERHEAD = 0.02
PHANTOMS = {"cases": 96, "seed": 7}
# Enough draws for a sampler to have learnt something by the last ones.
SAMPLES = 6

_Sections = Mapping[str, Mapping[str, Any]]

_SETTINGS: _Sections = {
    "dataset": {"name": "phantom", "root": None, "image_size": IMAGE_SIZE, "options": PHANTOMS},
    "model": {"encoder_weights": "none", "batch_norm_momentum": BATCH_NORM_MOMENTUM},
    "training": {
        "epochs": EPOCHS,
        "batch_size": BATCH_SIZE,
        "warmup_epochs": 0,
        "checkpoint_overhead": CHECKPOINT_OVERHEAD,
    },
    "resources": {"cpus": 1},
}
# What names data that the demo does not have.
_OF_DATA = {"folds": ("from",), "dataset": ("root", "options")}


def demo(root: Node) -> Node:
    """The tree of the sweep's demo: a layer above the file and below --set.

    Preprocessing, folds, augmentation, losses and objective are kept. What the demo decides no longer varies, and folds
    from a file, which name the cases of other data, become folds of the phantoms. A second stage keeps its data and
    their folds: they are those of the first stage's demo.
    """
    sections = dict(root.content)
    settings = _settings(root)
    if settings is _SETTINGS:
        sections |= {name: _without(sections[name], keys) for name, keys in _OF_DATA.items() if name in sections}
    if "search" in sections:
        sections["search"] = _search(sections["search"], settings)
    name = sections.get("name")
    if name is not None and isinstance(name.content, str):
        sections["name"] = Node(f"{name.content}_demo", name.source)
    # A section that is no mapping is a mistake in the file, to be reported rather than covered.
    bad = {key for key, node in sections.items() if key in settings and not isinstance(node.content, Mapping)}
    return merge(Node(sections, root.source), _node({key: settings[key] for key in settings if key not in bad}))


def _settings(root: Node) -> _Sections:
    """What the demo decides: of the data of a second stage only their size."""
    name = root.at(("dataset", "name"))
    second = name is not None and name.content == "crops"
    return {**_SETTINGS, "dataset": {"image_size": IMAGE_SIZE}} if second else _SETTINGS


def _without(section: Node, keys: tuple[str, ...]) -> Node:
    if not isinstance(section.content, Mapping):
        return section
    return Node({key: node for key, node in section.content.items() if key not in keys}, section.source)


def _search(search: Node, settings: _Sections) -> Node:
    """The search section without the keys that the demo decides, and with no more than its samples."""
    if not isinstance(search.content, Mapping):
        return search
    content = dict(search.content)
    grid = content.get("grid")
    if grid is not None:
        content["grid"] = _without_decided(grid, settings)
    if (space := content.get("space")) is not None:
        content["space"] = _without_decided(space, settings)
    samples = content.get("samples")
    if samples is not None and type(samples.content) is int and samples.content > SAMPLES:
        content["samples"] = Node(SAMPLES, SOURCE)
    for name in ("cases", "exclude"):
        entries = content.get(name)
        if entries is None or not isinstance(entries.content, list):
            continue
        kept = [_without_decided(entry, settings) for entry in entries.content]
        if name == "exclude":  # an entry of nothing but such keys would drop everything
            kept = [entry for entry in kept if entry.content]
        content[name] = Node(kept, entries.source)
    return Node(content, search.source)


def _without_decided(mapping: Node, settings: _Sections) -> Node:
    if not isinstance(mapping.content, Mapping):
        return mapping
    kept = {key: node for key, node in mapping.content.items() if not _is_decided(key, settings)}
    return Node(kept, mapping.source)


def _is_decided(key: str, settings: _Sections) -> bool:
    decided = {f"{section}.{name}" for section, values in settings.items() for name in values}
    of_data = settings is _SETTINGS and (key == "folds.from" or key.startswith("dataset.options."))
    return key in decided or of_data


def _node(value: Any) -> Node:
    if isinstance(value, Mapping):
        return Node({key: _node(item) for key, item in value.items()}, SOURCE)
    return Node([_node(item) for item in value], SOURCE) if isinstance(value, list) else Node(value, SOURCE)
