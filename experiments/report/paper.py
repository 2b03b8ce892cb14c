"""The leaderboard as tables to paste into a paper: Markdown, and LaTeX with booktabs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.report.scoreboard import Scoreboard, ScoreRow
from experiments.report.wording import UNDEFINED, metric_number, metric_title, significant
from utils.metrics import METRICS

# What a table in a paper shows beside the objective; the others are in the CSV.
USUAL = ("dice", "iou", "hd95", "nsd", "balanced_accuracy", "macro_f1", "auroc", "ece")

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    UNDEFINED: "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


@dataclass(frozen=True)
class Cell:
    """A number as text. best: it leads its column. tied: its row cannot be told apart from the best one."""

    text: str
    best: bool = False
    tied: bool = False


def paper_metrics(board: Scoreboard) -> tuple[str, ...]:
    """The objective, and of the usual metrics those that have values."""
    return tuple(name for name in board.metrics if name == board.objective or name in USUAL)


def markdown_table(board: Scoreboard) -> str:
    """A row for each ranked configuration: mean ± std over folds, the best of a column bold, ties underlined."""
    head, body = _table(board, _markdown, _markdown_cell)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex_table(board: Scoreboard, caption: str, label: str) -> str:
    r"""The same as a ``table`` for LaTeX, which needs ``\usepackage{booktabs}``."""
    head, body = _table(board, latex, _latex_cell)
    rows = "".join(f"    {' & '.join(line)} \\\\\n" for line in body)
    return (
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{latex(caption)}}}\n"
        f"  \\label{{tab:{re.sub('[^A-Za-z0-9:.-]', '-', label)}}}\n"
        f"  \\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}\n    \\toprule\n"
        f"    {' & '.join(head)} \\\\\n    \\midrule\n{rows}    \\bottomrule\n"
        "  \\end{tabular}\n\\end{table}\n"
    )


def legend(board: Scoreboard) -> str:
    """What the marks mean, for beneath the table."""
    title = metric_title(board.objective)
    return (
        f"Mean ± standard deviation over folds, ranked by {title}. Bold: the best of a column. Underlined: not told "
        f"apart from the best {title} by paired tests over cases and over folds."
    )


def latex(text: str) -> str:
    """Text with every character that LaTeX gives a meaning to written out."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _table(
    board: Scoreboard, escape: Callable[[str], str], mark: Callable[[Cell], str]
) -> tuple[list[str], list[list[str]]]:
    metrics = paper_metrics(board)
    arrows = {"max": "↑", "min": "↓"}
    directions = {name: board.direction if name == board.objective else METRICS[name].direction for name in metrics}
    head = ["Configuration", *(f"{_titled(name)} {arrows[directions[name]]}" for name in metrics), "Parameters (M)"]
    columns = [_column(board, name, directions[name]) for name in metrics]
    body = []
    for index, row in enumerate(board.ranked):
        cells = [mark(column[index]) for column in columns]
        body.append([escape(row.name), *cells, mark(Cell(significant(row.number("params_millions"))))])
    return [escape(title) for title in head], body


def _titled(name: str) -> str:
    unit = METRICS[name].unit
    return f"{metric_title(name)} ({unit})" if unit else metric_title(name)


def _column(board: Scoreboard, name: str, direction: str) -> list[Cell]:
    means = [row.number(f"{name}_mean") for row in board.ranked]
    defined = [mean for mean in means if not math.isnan(mean)]
    best = (max if direction == "max" else min)(defined, default=math.nan)
    tied = name == board.objective
    return [
        Cell(_spread(row, name), mean == best, tied and row.tied and len(board.tied) > 0)
        for row, mean in zip(board.ranked, means, strict=True)
    ]


def _spread(row: ScoreRow, name: str) -> str:
    mean, std = row.number(f"{name}_mean"), row.number(f"{name}_std")
    text = metric_number(name, mean)
    return text if math.isnan(mean) or math.isnan(std) else f"{text} ± {metric_number(name, std)}"


def _markdown(text: str) -> str:
    """Text in which nothing is a mark of Markdown, nor a tag of HTML."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", plain)


def _markdown_cell(cell: Cell) -> str:
    return _marked(cell, cell.text, "**{}**", "<ins>{}</ins>")


def _latex_cell(cell: Cell) -> str:
    return _marked(cell, latex(cell.text), r"\textbf{{{}}}", r"\underline{{{}}}")


def _marked(cell: Cell, text: str, bold: str, underlined: str) -> str:
    if cell.tied:
        text = underlined.format(text)
    return bold.format(text) if cell.best else text


def paper(board: Scoreboard, question: str, name: str, methods: Sequence[str]) -> str:
    """The whole file: question, Markdown table, its legend, how it was made, and the LaTeX table as code."""
    parts = [f"# {_markdown(question or name)}"]
    if not board.ranked:
        return f"{parts[0]}\n\nNo configuration is complete yet.\n"
    caption = f"{question} {legend(board)}".strip()
    table = latex_table(board, caption, name)
    parts += [markdown_table(board).rstrip(), _markdown(legend(board)), *map(_markdown, methods)]
    parts += [f"LaTeX, with `\\usepackage{{booktabs}}`:\n\n```latex\n{table}```"]
    return "\n\n".join(parts) + "\n"
