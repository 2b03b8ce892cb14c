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
PHANTOMS = {"cases": 96, "seed": 7}
# Enough draws for a sampler to have learnt something by the last ones.
SAMPLES = 6

_SETTINGS: Mapping[str, Any] = {
    "dataset": {"name": "phantom", "root": None, "image_size": IMAGE_SIZE, "options": PHANTOMS},
    "model": {"encoder_weights": "none", "batch_norm_momentum": BATCH_NORM_MOMENTUM},
    "training": {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "warmup_epochs": 0},
    "resources": {"cpus": 1},
}


def demo(root: Node) -> Node:
    """The tree of the sweep's demo: a layer above the file and below --set.

    Preprocessing, folds, augmentation, losses and objective are kept. What the demo decides no longer varies, and folds
    from a file, which name the cases of other data, become folds of the phantoms.
    """
    sections = dict(root.content)
    folds = sections.get("folds")
    if folds is not None and isinstance(folds.content, Mapping):
        kept = {key: node for key, node in folds.content.items() if key != "from"}
        sections["folds"] = Node(kept, folds.source)
    dataset = sections.get("dataset")
    if dataset is not None and isinstance(dataset.content, Mapping):
        kept = {key: node for key, node in dataset.content.items() if key not in ("root", "options")}
        sections["dataset"] = Node(kept, dataset.source)
    if "search" in sections:
        sections["search"] = _search(sections["search"])
    name = sections.get("name")
    if name is not None and isinstance(name.content, str):
        sections["name"] = Node(f"{name.content}_demo", name.source)
    # A section that is no mapping is a mistake in the file, to be reported rather than covered.
    bad = {key for key, node in sections.items() if key in _SETTINGS and not isinstance(node.content, Mapping)}
    return merge(Node(sections, root.source), _node({key: _SETTINGS[key] for key in _SETTINGS if key not in bad}))


def _search(search: Node) -> Node:
    """The search section without the keys that the demo decides, and with no more than its samples."""
    if not isinstance(search.content, Mapping):
        return search
    content = dict(search.content)
    grid = content.get("grid")
    if grid is not None:
        content["grid"] = _without_decided(grid)
    if (space := content.get("space")) is not None:
        content["space"] = _without_decided(space)
    samples = content.get("samples")
    if samples is not None and type(samples.content) is int and samples.content > SAMPLES:
        content["samples"] = Node(SAMPLES, SOURCE)
    for name in ("cases", "exclude"):
        entries = content.get(name)
        if entries is None or not isinstance(entries.content, list):
            continue
        kept = [_without_decided(entry) for entry in entries.content]
        if name == "exclude":  # an entry of nothing but such keys would drop everything
            kept = [entry for entry in kept if entry.content]
        content[name] = Node(kept, entries.source)
    return Node(content, search.source)


def _without_decided(mapping: Node) -> Node:
    if not isinstance(mapping.content, Mapping):
        return mapping
    return Node({key: node for key, node in mapping.content.items() if not _is_decided(key)}, mapping.source)


def _is_decided(key: str) -> bool:
    decided = {f"{section}.{name}" for section, values in _SETTINGS.items() for name in values}
    return key in (*decided, "folds.from") or key.startswith("dataset.options.")


def _node(value: Any) -> Node:
    if isinstance(value, Mapping):
        return Node({key: _node(item) for key, item in value.items()}, SOURCE)
    return Node([_node(item) for item in value], SOURCE) if isinstance(value, list) else Node(value, SOURCE)
