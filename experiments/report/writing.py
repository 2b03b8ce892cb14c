"""Writes the files of the report, and tells whether those that are there are still right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.figures import Drawn, draw_figures
from experiments.figures.data import CannotDrawError, FigureData
from experiments.opened import OpenedSweep
from experiments.preparation import StageProgress
from experiments.report.answer import answer_of
from experiments.report.definitions import data_about, definitions, methods, statistics
from experiments.report.drawing import draw_sheets, figure_data, sheets_in
from experiments.report.page import picture, read_meta, render
from experiments.report.paper import paper
from experiments.report.protocol import audit_of, protocol, resolved_file
from experiments.report.scoreboard import scoreboard_of
from experiments.report.table import sortable_table
from experiments.report.wording import metric_title
from utils.files import write_text_atomically
from utils.identity import digest, file_digest
from utils.metrics.report import classification_report

_PROJECT = Path(__file__).resolve().parents[2]
# What the report is worked out by; another text of any of these is another report.
_WORKED_OUT_BY = (
    "experiments/report",
    "experiments/figures",
    "experiments/leaderboard",
    "experiments/statistics",
    "utils/metrics",
)


@dataclass(frozen=True)
class ReportFiles:
    """What a report consists of. classification: None for networks without diagnosis."""

    page: Path
    paper: Path
    classification: Path | None
    drawn: Drawn


class Report:
    """The report of a sweep as it stands."""

    def __init__(self, opened: OpenedSweep) -> None:
        self.opened = opened
        self.board = scoreboard_of(opened.leaderboard)
        self.page, self.paper, self.classification = (
            opened.results / f"{opened.sweep.name}{ending}" for ending in (".html", ".md", "_classification.txt")
        )
        self.figures = opened.results / "figures" / opened.sweep.name
        self.sheets = self.figures / "trials"

    @cached_property
    def key(self) -> str:
        """A hash of everything that decides how the report looks: what it says, the records, and the code."""
        records = {
            f"{configuration}/{fold}": [
                record.status,
                record.finished,
                sorted(file.sha256 for file in record.files.values()),
            ]
            for (configuration, fold), record in sorted(self.opened.records.items())
        }
        return digest({"facts": _plain(self._facts), "records": records, "code": _code()}, 32)

    @property
    def is_current(self) -> bool:
        """Whether all files of the report are there and are what `write` would write."""
        meta = read_meta(self.page)
        files = [self.opened.results / name for name in meta.get("files", "").split(" ") if name]
        return meta.get("key") == self.key and bool(files) and all(path.is_file() for path in files)

    def write(self, on_progress: StageProgress) -> ReportFiles:
        """Draws the figures and writes all files, each atomically; the page is the last."""
        data = figure_data(self.opened)
        drawn = draw_figures(data, self.figures, lambda done, total: on_progress("Drawing figures", done, total))
        draw_sheets(data, self.sheets, on_progress)
        sweep = self.opened.sweep
        write_text_atomically(self.paper, paper(self.board, sweep.question, sweep.name, [self._facts["methods"]]))
        classification = self._write_classification(data)
        files = [path for figure in drawn.figures for path in figure.files]
        files += [path for path in (self.paper, classification) if path is not None]
        named = " ".join(sorted(path.relative_to(self.opened.results).as_posix() for path in files))
        pictures = [
            picture(figure.name, figure.title, figure.caption, figure.png, figure.svg, figure.gif)
            for figure in drawn.figures
        ]
        context = {**self._facts, "key": self.key, "files": named, "omitted": drawn.omitted}
        write_text_atomically(self.page, render(context, pictures))
        return ReportFiles(self.page, self.paper, classification, drawn)

    def pictures(self) -> dict[str, list[Path]]:
        """Configuration id -> the pictures of it that `write` has drawn, for the study."""
        return sheets_in(self.figures, self.sheets, [row.id for row in self.board.ranked])

    def _write_classification(self, data: FigureData) -> Path | None:
        """The diagnoses of the best configuration, every case as the network said that was not trained on it."""
        try:
            best = data.best()
            predictions = data.predictions(best)
        except CannotDrawError:
            self.classification.unlink(missing_ok=True)
            return None
        head = f"{best.entry.name} ({best.entry.id}): {predictions.labels.size} test cases, all folds pooled\n\n"
        write_text_atomically(self.classification, head + classification_report(predictions).as_text().rstrip() + "\n")
        return self.classification

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """What stands on the page beside the figures."""
        opened, board, sweep = self.opened, self.board, self.opened.sweep
        return {
            "name": sweep.name,
            "question": sweep.question,
            "objective": metric_title(board.objective),
            "answer": answer_of(opened),
            "rows": board.rows,
            "table": sortable_table(board),
            "intervals": any(row.cells.get(f"{board.objective}_ci_low") for row in board.rows),
            "audits": [audit_of(source) for source in opened.found.sources],
            "protocol": protocol(opened),
            "definitions": definitions(board),
            "statistics": statistics(board, opened.leaderboard),
            "methods": methods(opened, board),
            "identity": _identity(opened),
            "data_about": data_about(opened),
            "resolved": resolved_file(sweep),
            "source": _text(sweep.source),
            "source_name": sweep.source.name,
        }


def _identity(opened: OpenedSweep) -> str:
    data = ", ".join(sorted({one.source.data for one in opened.planned}))
    split = ", ".join(sorted({one.split.hash for one in opened.planned}))
    code = ", ".join(sorted({record.code for record in opened.records.values()}))
    toolkit = f"segmentation-sweeps {version('segmentation-sweeps')}"
    return f"{opened.sweep.name} of data {data}, split {split}, training code {code}, made with {toolkit}"


def _text(path: Path) -> str:
    """What is in a file; '' if it has gone."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _plain(facts: Mapping[str, Any]) -> Any:
    """The facts as JSON knows them."""

    def plain(value: Any) -> Any:
        if hasattr(value, "__dataclass_fields__"):
            return plain(asdict(value))
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

    return plain(facts)


def _code() -> str:
    return digest({str(path.relative_to(_PROJECT)): file_digest(path) for path in _sources()})


def _sources() -> Iterator[Path]:
    for folder in _WORKED_OUT_BY:
        yield from sorted(
            path for path in (_PROJECT / folder).rglob("*") if path.suffix in (".py", ".jinja", ".css", ".js")
        )
