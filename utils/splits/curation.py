"""What a careful person would leave out of a dataset, computed from its audit and written down to be judged.

    python -m utils.splits.curation busi data/busi busi_curation.csv

The table is a proposal: look at it, change it, keep it beside the results, and name it in the sweep file, as in
``dataset: {name: busi, options: {curation: busi_curation.csv}}``. Nothing is left out of itself. Without a list,
errors stop a sweep or are skipped (``dataset.on_error``), and near-copies stay on one side of every fold.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.datasets import DATASETS
from utils.errors import Problem, UserError
from utils.files import write_text_atomically
from utils.splits.audit import audit
from utils.splits.findings import Audit

_ALL_GO = ("near_duplicate_label_conflict", "blank_image", "lesion_in_normal")
"""Warnings that leave no case concerned to be trusted, as errors do."""


@dataclass(frozen=True)
class Removal:
    """A case to leave out. kind, message: of the finding. kept: the copy that stays, or ''."""

    case: str
    kind: str
    kept: str
    message: str


def curation(report: Audit, near_copies: bool = False) -> tuple[Removal, ...]:
    """The cases to leave out, sorted by id, each for the first reason that there is.

    Of several labels for the same image at most one is right, and nothing says which: all its copies go. Of copies
    under one label the first by id stays. near_copies: whether of near-copies, too, only the first stays.
    """
    removed: dict[str, Removal] = {}
    for finding in report.findings:
        if finding.severity == "error" or finding.kind in _ALL_GO:
            for case in finding.cases:
                removed.setdefault(case, Removal(case, finding.kind, "", finding.message))
    for finding in report.findings:
        if finding.kind == "exact_duplicate" or (near_copies and finding.kind == "near_duplicate"):
            # A copy that has gone for a reason of its own cannot be the one that stays.
            first, *others = [case for case in finding.cases if case not in removed] or [""]
            for case in others:
                removed[case] = Removal(case, finding.kind, first, finding.message)
    return tuple(removed[case] for case in sorted(removed))


def curation_table(removals: Iterable[Removal]) -> str:
    """CSV with the columns case, kind, kept, message; a dataset reads the first alone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("case", "kind", "kept", "message"))
    writer.writerows((each.case, each.kind, each.kept, each.message) for each in removals)
    return text.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = argparse.ArgumentParser(
        prog="python -m utils.splits.curation",
        description="Opens every file of a dataset and proposes, in a table, the cases to leave out.",
    )
    command.add_argument("dataset", help="a name as under dataset.name, such as busi")
    command.add_argument("root", type=Path, help="its folder")
    command.add_argument("table", type=Path, help="the CSV to be written; one that is there is not overwritten")
    command.add_argument("--near-copies", action="store_true", help="of near-copies, leave only the first one in")
    options = command.parse_args(arguments)
    try:
        if options.table.exists():
            raise UserError(Problem("table", "is there already; name a new file", value=str(options.table)))
        report = audit(DATASETS[options.dataset](options.root))
        removals = curation(report, options.near_copies)
        write_text_atomically(options.table, curation_table(removals))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(removals)} of {len(report.usable) + len(report.skipped)} cases to leave out: {options.table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
