"""How the numbers came about, and how they are made again: data, folds, seeds, hardware, software, the sweep file."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from experiments.accounting.balance import balance_of
from experiments.accounting.wording import TITLE, slot_time
from experiments.opened import OpenedSweep
from experiments.preparation import Source
from experiments.report.wording import counted, hours, listed
from experiments.sweep import Sweep
from utils.splits.folds import Split

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class DataAudit:
    """What the audit of one source found.

    classes: (label, images, groups that no fold cuts). findings: (severity, kind, how many, an example).
    """

    name: str
    images: int
    usable: int
    groups: int
    copies: int
    classes: tuple[tuple[str, int, int], ...]
    findings: tuple[tuple[str, str, int, str], ...]


def audit_of(source: Source) -> DataAudit:
    """The findings of a source, counted by kind, the gravest first."""
    audit = source.audit
    kinds = Counter((finding.severity, finding.kind) for finding in audit.findings)
    examples = {(finding.severity, finding.kind): finding.message for finding in reversed(audit.findings)}
    labels = Counter(case.label for case in audit.usable)
    groups = {label: {audit.groups[case.id] for case in audit.usable if case.label == label} for label in labels}
    return DataAudit(
        source.name,
        len(audit.usable) + len(audit.skipped),
        len(audit.usable),
        len(set(audit.groups.values())),
        sum(len(members) for members in audit.near_duplicate_sets),
        tuple((label, count, len(groups[label])) for label, count in sorted(labels.items())),
        tuple((*kind, count, examples[kind]) for kind, count in kinds.items()),
    )


def protocol(opened: OpenedSweep) -> list[tuple[str, str]]:
    """What a reader has to know to judge the numbers, as (what, how) in the order of telling."""
    settings, records = opened.sweep.settings, list(opened.records.values())
    folds = settings.folds
    lines = []
    for split in {one.split.hash: one.split for one in opened.planned}.values():
        lines.append(("Folds", _folds(split, max(one.folds for one in opened.planned if one.split is split))))
    grouped = {"near_duplicates": "near-copies and patients", "patient": "images of one patient", "none": "nothing"}
    lines += [
        ("Kept together", f"{grouped[folds.group]}: no fold has a part of a group in training and another in its test"),
        ("Seeds", f"folds {folds.seed}, training {settings.training.seed}; those of every run are derived from them"),
        (
            "Used for",
            "training part: weights; validation part: checkpoint and early stopping; test part: these numbers",
        ),
        ("Runs", f"{len(records)} of {opened.expected} ended, {_failed(opened)} failed"),
        ("Training", _training(opened)),
        ("Hardware", listed(_distinct(record.device for record in records), 8)),
        ("Software", _versions(opened)),
    ]
    if (spent := balance_of(opened)) is not None:
        lines.append((TITLE, slot_time(spent).removeprefix(f"{TITLE}: ")))
    if commit := git_commit():
        lines.append(("This report", f"made by the code of git commit {commit}"))
    if adjusted := _distinct(text for record in records for text in record.adjustments):
        lines.append(("Adjusted on the way", "; ".join(adjusted)))
    return [(what, how) for what, how in lines if how]


def resolved_file(sweep: Sweep) -> str:
    """One sweep file that needs no other: base files, ``--demo``, ``--set`` and winners are worked in.

    It stands for the same configurations, with the same ids on the same data. Where the data lie (``dataset.root``)
    is as it was; what is at its default is left out.
    """
    content = {
        "name": sweep.name,
        "question": sweep.question,
        **sweep.settings.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    for section, model in (("search", sweep.search), ("racing", sweep.racing), ("resources", sweep.resources)):
        if values := model.model_dump(mode="json", by_alias=True, exclude_defaults=True):
            content[section] = values
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def git_commit(project: Path = PROJECT) -> str:
    """The commit that a checkout stands at, ``-dirty`` after it if files differ from it; '' outside a checkout."""
    if not (project / ".git").exists() or shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout.strip() if said.returncode == 0 else ""


def _folds(split: Split, used: int) -> str:
    parts = {name: [len(fold.parts()[name]) for fold in split.folds[:used]] for name in ("train", "validation", "test")}
    sizes = ", ".join(f"{_span(counts)} to {verb}" for verb, counts in _verbs(parts))
    of = f"{used} of {len(split.folds)} folds" if used < len(split.folds) else counted(used, "fold")
    return f"{of}; cases in each: {sizes} (split {split.hash})"


def _verbs(parts: dict[str, list[int]]) -> Iterable[tuple[str, list[int]]]:
    return (("train", parts["train"]), ("validate", parts["validation"]), ("test", parts["test"]))


def _span(counts: Sequence[int]) -> str:
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _failed(opened: OpenedSweep) -> int:
    return sum(record.status == "failed" for record in opened.records.values())


def _training(opened: OpenedSweep) -> str:
    records = opened.records.values()
    dates = sorted(text[:10] for record in records for text in (record.started, record.finished) if text)
    when = "" if not dates else f", from {dates[0]} to {dates[-1]}" if dates[0] != dates[-1] else f", on {dates[0]}"
    return f"{hours(sum(record.train_seconds for record in records))} in epochs over all runs{when}"


def _versions(opened: OpenedSweep) -> str:
    records = opened.records.values()
    names = _distinct(name for record in records for name in record.versions)
    found = {name: _distinct(record.versions[name] for record in records if name in record.versions) for name in names}
    code = "/".join(_distinct(record.code for record in records))
    return ", ".join([f"training code {code}", *(f"{name} {'/'.join(each)}" for name, each in found.items())])


def _distinct(texts: Iterable[str]) -> list[str]:
    return sorted({text for text in texts if text})
