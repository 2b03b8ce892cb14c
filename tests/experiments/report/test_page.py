"""The files of the report, from a ledger made by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from experiments.opened import OpenedSweep, open_sweep
from experiments.report.page import Picture, picture, render
from experiments.report.paper import paper
from experiments.report.protocol import DataAudit
from experiments.report.writing import Report
from experiments.sweep import Sweep

EVIL = "<script>alert('&')</script>"


def silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def opened(finished_sweep: Callable[..., Sweep], tmp_path: Path) -> Callable[..., OpenedSweep]:
    """Makes a sweep by what its configurations reach, and opens it."""

    def make(skills: dict[str, float | None], **more: Any) -> OpenedSweep:
        return open_sweep(finished_sweep(skills, **more), tmp_path / "results", silent)

    return make


@pytest.mark.slow
def test_a_report_is_written_whole_and_twice_the_same(opened: Callable[..., OpenedSweep], tmp_path: Path) -> None:
    report = Report(opened({"good": 0.8, "near": 0.79, "broken": None}, question="Which is best?"))
    assert not report.is_current
    files = report.write(silent)
    assert {path.name for path in (files.page, files.paper)} == {"made.html", "made.md"}
    assert files.classification is not None and "macro mean" in files.classification.read_text()
    page = files.page.read_text(encoding="utf-8")
    tags = Tags(page)
    for words in (
        *("Which is best?", "leads with a Dice of", "broken failed on at least one fold", "The images are generated"),
        *(
            "2 folds; cases in each: ",
            "torch 2.6",
            "50 s in epochs",
            "segmentation-sweeps",
            "python run_sweep.py made.yaml",
        ),
    ):
        assert words in tags.text, words
    assert page.count("<figure id=") == len(files.drawn.figures) > 5
    assert all(given.get("alt") for tag, given in tags.tags if tag == "img")

    before = {
        path: path.read_bytes() for path in (files.page, files.paper, *report.figures.iterdir()) if path.is_file()
    }
    again = Report(report.opened)
    assert again.is_current
    again.write(silent)
    assert {path: path.read_bytes() for path in before} == before
    next(report.figures.glob("*.png")).unlink()
    assert not again.is_current, "a figure has gone"


@pytest.mark.slow
def test_everything_the_page_needs_is_in_it(opened: Callable[..., OpenedSweep]) -> None:
    files = Report(opened({"good": 0.8, "poor": 0.5})).write(silent)
    page = files.page.read_text(encoding="utf-8")
    tags = Tags(page)
    addresses = [given[name] for _, given in tags.tags for name in ("src", "href", "action", "srcset") if name in given]
    assert addresses and all(address and address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\(", page)
    [policy] = [given["content"] for tag, given in tags.tags if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'")
    # Neither images nor networks are in this ledger: that costs the overlays and nothing else.
    reasons = {omitted.name: omitted.reason for omitted in files.drawn.omitted}
    assert "not at hand" in reasons["overlays"] and reasons["overlays"] in tags.text


def test_text_from_outside_is_never_markup(opened: Callable[..., OpenedSweep]) -> None:
    report = Report(opened({EVIL: 0.8, "poor": 0.5}, question=EVIL))
    audit = DataAudit(EVIL, 3, 3, 3, 0, ((EVIL, 3, 3),), (("warning", EVIL, 1, EVIL),))
    facts = {**report._facts, "audits": [audit], "source": EVIL, "data_about": [EVIL]}
    page = render(
        {**facts, "key": "k", "files": "", "omitted": []}, [Picture("name", EVIL, f'" onload={EVIL}', "data:,")]
    )
    tags = Tags(page)
    assert [tag for tag, _ in tags.tags].count("script") == 1, "the page's own"
    assert not [given for _, given in tags.tags if any(name.startswith("on") for name in given)]
    assert page.count("alert(") == page.count("&lt;script&gt;alert(") > 10
    assert "<script>" not in paper(report.board, EVIL, "made", [EVIL]).partition("```latex")[0]


def test_another_record_is_another_report(opened: Callable[..., OpenedSweep]) -> None:
    keys = [Report(opened({"good": 0.8, "poor": 0.5}, runs=runs)).key for runs in (2, 4)]
    assert keys[0] != keys[1]


def test_a_sweep_of_failures_has_a_report_without_classification(opened: Callable[..., OpenedSweep]) -> None:
    report = Report(opened({"broken": None, "too": None}))
    report.classification.write_text("of an earlier state")
    files = report.write(silent)
    assert files.classification is None and not report.classification.exists()
    assert "There is no answer: every configuration failed." in files.page.read_text(encoding="utf-8")
    assert report.is_current


def test_the_smaller_form_of_a_large_figure_stands_in_the_page(tmp_path: Path) -> None:
    png, svg, gif = tmp_path / "a.png", tmp_path / "a.svg", tmp_path / "a.gif"
    png.write_bytes(b"p" * 1000), svg.write_bytes(b"s" * 1000), gif.write_bytes(b"g")
    assert picture("a", "", "", png, svg).address.startswith("data:image/svg+xml;base64,")
    svg.write_bytes(b"s" * 200_000)
    assert picture("a", "", "", png, svg).address.startswith("data:image/png;base64,")
    assert picture("a", "", "", png, svg, gif).address.startswith("data:image/gif;base64,")
