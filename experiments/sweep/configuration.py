"""A configuration: one value for every setting, and the id that its results are kept under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.sweep.schema.keys import METRIC_OPTIONS, fields_of, registry_of
from experiments.sweep.schema.settings import FoldSettings, Settings
from utils.identity import digest
from utils.registry import Registry

# What the hashes of the data and of the split already say, and what does not change any result.
_NOT_IDENTITY = {
    "dataset": {"root", "on_error", "options"},
    "folds": set(fields_of(FoldSettings)),
    "training": {"snapshots", "checkpoint_overhead"},
}


@dataclass(frozen=True)
class Configuration:
    """One value for every setting; immutable.

    settings: everything that is trained with.
    varied: dotted key -> JSON-like value of every key that varies in the sweep, in the sweep's order; for
    a sweep with named cases also ``case``. None for a key inside a part that this configuration has not.
    name: short and unique within the sweep, for people; never part of the id.
    """

    settings: Settings
    varied: Mapping[str, Any]
    name: str

    def id(self, data_hash: str, split_hash: str, code: str) -> str:
        """12 hexadecimal digits: a hash of what determines the results.

        data_hash: of the cases, from the audit. split_hash: of the folds. code: the semantic version of
        the training code. Beside these, every setting but ``dataset.root``, ``dataset.on_error``,
        ``dataset.options`` (all three: the data's hash), ``folds`` (the split's): the same folds, drawn or
        read from a file, are the same folds; and ``training.snapshots`` and ``training.checkpoint_overhead``, which
        say what is kept and how often. Name, question, order, search, racing and resources are no settings and have no
        part in it.

        A setting at its default, or an option of a part at its own, is left out of the hash, so that a key which a
        later version adds, with a default that means "as before", leaves all results in place. A default may
        hence not be changed without another version of the training code; a test holds the defaults.
        """
        parts = {"settings": identity(self.settings), "data": data_hash, "split": split_hash, "code": code}
        return digest(parts)


def identity(settings: Settings) -> dict[str, Any]:
    """The JSON-like settings that determine results and are not at their default."""
    values = _differing(nested(settings), nested(Settings()))
    for section, names in _NOT_IDENTITY.items():
        values[section] = {key: value for key, value in values.get(section, {}).items() if key not in names}
    values[METRIC_OPTIONS] = _changed_metrics(values.get(METRIC_OPTIONS, {}))
    for section, inside in values.items():
        for key, value in inside.items():
            registry = registry_of(f"{section}.{key}")
            if registry is not None:
                inside[key] = without_defaults(value, registry())
    return {section: inside for section, inside in values.items() if inside}


def without_defaults(value: Any, registry: Registry) -> Any:
    """A part, a list of parts or a combination, in JSON form, without the options that are at their default."""
    if isinstance(value, list):
        return [without_defaults(item, registry) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = {name: _changed(registry, name, options) for name, options in value.items()}
    [name, *more] = kept
    return kept if more or kept[name] else name


def _changed(registry: Registry, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    defaults = registry.options(name).model_construct().model_dump(mode="json")
    return {key: value for key, value in options.items() if key not in defaults or value != defaults[key]}


def _changed_metrics(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Metric -> its options that are not at their default, where there are any."""
    registry = registry_of(METRIC_OPTIONS)
    assert registry is not None, "the setting names its registry"
    changed = {name: _changed(registry(), name, given) for name, given in options.items()}
    return {name: given for name, given in changed.items() if given}


def nested(settings: Settings) -> dict[str, Any]:
    """All settings as JSON-like nested values; `Settings.model_validate` takes them back."""
    return settings.model_dump(mode="json", by_alias=True)


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the defaults; mappings with the same keys are entered, all else is compared whole."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults[key]
        if value == default:
            continue
        section = isinstance(value, dict) and isinstance(default, dict) and set(value) == set(default)
        result[key] = _differing(value, default) if section else value
    return result
