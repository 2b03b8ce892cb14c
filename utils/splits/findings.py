"""What an audit of the data found, as values: a table for a file, one screen for a person, errors that stop."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from utils.datasets.case import Case
from utils.errors import Problem, UserError, shortened

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing the audit noticed.

    kind: a short fixed name, such as ``near_duplicate``.
    cases: the ids concerned, sorted; empty where the finding is about a file or the set as a whole.
    file: the file concerned, or ''.
    """

    kind: str
    severity: Severity
    cases: tuple[str, ...]
    file: str
    message: str


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    findings: errors first, then by kind, cases and file.
    usable: the cases without an error, sorted by id.
    skipped: the cases with one.
    groups: usable case id -> group id, the smallest usable case id in the group.
    sizes: usable case id -> (height, width) of its image in pixels.
    near_duplicate_sets: ids of images that are copies or near-copies of one another, skipped cases included.
    """

    findings: tuple[Finding, ...]
    usable: tuple[Case, ...]
    skipped: tuple[Case, ...]
    groups: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]
    near_duplicate_sets: tuple[tuple[str, ...], ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings of severity 'error'."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def raise_on_errors(self) -> None:
        """Raises UserError with one problem for each error, if there is any; of many of a kind with the first."""
        problems: dict[str, list[Problem]] = {}
        for error in self.errors:
            where, source = ", ".join(error.cases) or error.file, error.file if error.cases else ""
            problem = Problem(where, f"{error.message} ({error.kind})", source)
            problems.setdefault(error.kind, []).append(problem)
        if problems:
            raise UserError(problem for kind in problems.values() for problem in shortened(kind))

    def to_csv(self) -> str:
        """One row for each finding: severity, kind, cases and their groups joined by ';', file, message."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("severity", "kind", "cases", "groups", "file", "message"))
        for finding in self.findings:
            groups = sorted({self.groups[case] for case in finding.cases if case in self.groups})
            cases = ";".join(finding.cases)
            writer.writerow((finding.severity, finding.kind, cases, ";".join(groups), finding.file, finding.message))
        return text.getvalue()

    def summary(self, examples: int = 3) -> str:
        """One screen: images per class, groups, near-copies, findings per kind, the first errors of each kind."""
        labels = Counter(case.label for case in (*self.usable, *self.skipped))
        usable = Counter(case.label for case in self.usable)
        groups = {label: {self.groups[case.id] for case in self.usable if case.label == label} for label in labels}
        width = max((len(label) for label in labels), default=0)
        lines = [f"{len(self.usable) + len(self.skipped)} images, {len(self.usable)} of them usable"]
        for label, count in sorted(labels.items()):
            unusable = f", {count - usable[label]} not usable" if count > usable[label] else ""
            lines.append(f"  {label:{width}}  {count:>6} images in {len(groups[label])} groups{unusable}")
        copies = sum(len(members) for members in self.near_duplicate_sets)
        lines.append(f"{len(set(self.groups.values()))} groups that no fold may cut")
        lines.append(f"{copies} images with a near-copy, in {len(self.near_duplicate_sets)} sets")
        for severity in SEVERITIES:
            kinds = Counter(finding.kind for finding in self.findings if finding.severity == severity)
            if kinds:
                lines.append(f"{severity}s: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
            if severity == "error":
                lines += self._examples(kinds, examples)
        return "\n".join(lines)

    def _examples(self, kinds: Mapping[str, int], limit: int) -> list[str]:
        lines = []
        for kind, count in kinds.items():
            shown = [error for error in self.errors if error.kind == kind][:limit]
            lines += [f"  {kind}: {_shortened(error.cases) or error.file}: {error.message}" for error in shown]
            if count > limit:
                lines.append(f"  {kind}: {count - limit} more")
        return lines


def _shortened(ids: Sequence[str], limit: int = 4) -> str:
    return ", ".join(ids[:limit]) + (f" and {len(ids) - limit} more" if len(ids) > limit else "")
