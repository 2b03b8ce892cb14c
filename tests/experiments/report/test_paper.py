"""Tables to paste into a paper."""

from __future__ import annotations

import re
from collections.abc import Callable

from experiments.report.paper import latex, latex_table, markdown_table, paper
from experiments.report.scoreboard import Scoreboard

Board = Callable[..., Scoreboard]


def table(board: Board) -> Scoreboard:
    return board(
        ("a_b", 0.8, {"dice_std": 0.02, "hd95_mean": 9.5, "hd95_std": 1.0, "params_millions": 12.0}),
        ("50% & more", 0.79, {"tied": True, "dice_std": 0.03, "hd95_mean": 8.25, "params_millions": 1.25}),
        ("c", 0.5, {"params_millions": 7.0}),
        ("broken", None, {"status": "failed"}),
    )


def test_markdown_marks_the_best_of_each_column_and_the_ties(board: Board) -> None:
    assert markdown_table(table(board)) == (
        "| Configuration | Dice ↑ | HD95 (px or mm) ↓ | Parameters (M) |\n"
        "| --- | ---: | ---: | ---: |\n"
        r"| a\_b | **<ins>0.800 ± 0.020</ins>** | 9.50 ± 1.00 | 12.0 |" + "\n"
        "| 50% &amp; more | <ins>0.790 ± 0.030</ins> | **8.25** | 1.25 |\n"
        "| c | 0.500 | \N{EN DASH} | 7.00 |\n"
    )


def test_latex_is_a_booktabs_table_with_every_character_escaped(board: Board) -> None:
    found = latex_table(table(board), "Which one? 100 % & #1", "my sweep_1")
    assert r"a\_b & \textbf{\underline{0.800 $\pm$ 0.020}} & 9.50 $\pm$ 1.00 & 12.0 \\" in found
    assert r"50\% \& more & \underline{0.790 $\pm$ 0.030} & \textbf{8.25} & 1.25 \\" in found
    assert r"\caption{Which one? 100 \% \& \#1}" in found and r"\label{tab:my-sweep-1}" in found
    assert [found.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    rows = [line for line in found.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {3}, "every row has as many cells as the heading"


def test_latex_leaves_no_character_with_a_meaning() -> None:
    assert latex("\\") == r"\textbackslash{}"
    assert latex("a{b}$^~_#%&") == r"a\{b\}\$\textasciicircum{}\textasciitilde{}\_\#\%\&"
    assert latex("one\n\ntwo") == "one two", "an empty line would end the caption's paragraph"


def test_one_row_alone_is_tied_with_nobody(board: Board) -> None:
    assert "<ins>" not in markdown_table(board(("only", 0.8, {"params_millions": 1.0})))


def test_without_a_ranked_row_the_file_says_so(board: Board) -> None:
    found = paper(board(("a", None, {"status": "pending"})), "Which <one>?", "s", [])
    assert found == "# Which &lt;one&gt;?\n\nNo configuration is complete yet.\n"
