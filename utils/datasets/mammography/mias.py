"""The mini-MIAS database of mammograms.

J. Suckling et al.: The Mammographic Image Analysis Society digital mammogram database. Exerpta Medica, International
Congress Series 1069 (1994) 375-378. 322 films of 161 patients, 1024 x 1024 pixels of 200 micron. Licence: its own, for
research only, at http://peipa.essex.ac.uk/info/mias.html, where the archive is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from utils.datasets.case import DATASETS, Case
from utils.datasets.files import FileDataset
from utils.errors import Problem, UserError, shortened
from utils.identity import digest, file_digest

INFO = "Info.txt"
_FILM = re.compile(r"(?P<name>mdb(?P<number>\d{3}))\b(?P<rest>.*)")
_KINDS = ("CALC", "CIRC", "SPIC", "MISC", "ARCH", "ASYM", "NORM")
_TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
_SEVERITIES = {"B": "benign", "M": "malignant"}
_MILLIMETRES = 0.2
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """A line of Info.txt. circle: x and y of the centre, y counted from the bottom, and radius, in pixels."""

    tissue: str
    kind: str
    severity: str
    circle: tuple[int, int, int] | None


@DATASETS.register("mias")
class Mias(FileDataset):
    """``mdb001.pgm`` to ``mdb322.pgm`` beside ``Info.txt``, whose lines give a circle around each abnormality.

    A line is ``mdb005 F CIRC B 477 133 30``: film, tissue, kind, severity, x and y of the centre, radius. The y axis
    points upwards from the lower edge. A mask is the OR of a film's circles; a film with lesions of both severities is
    malignant. Widely spread calcifications have no circle, ``*NOTE 3*``: those films cannot be used, and say so in the
    audit (``dataset.on_error: skip``). Films 1 and 2 are of one patient, as are 3 and 4, and so on.

    root: the folder of these files, or the one above it; the films may lie in ``all-mias/``, as in Kaggle's copy.
    A film without a file is no case.
    """

    classes: tuple[str, ...] = ("benign", "malignant", "normal")
    lesion_classes: tuple[str, ...] = ("benign", "malignant")
    layout = "Info.txt beside mdb001.pgm, mdb002.pgm, ..."
    source = "http://peipa.essex.ac.uk/info/mias.html"

    def cases(self) -> list[Case]:
        """All films with a file, sorted by id; `Case.spacing` is 0.2 mm.

        Raises UserError when the root is missing or has another layout, and with all lines that cannot be understood.
        """
        cases = []
        for name, findings in self._findings.items():
            image = self._film(name)
            if image is None:
                continue
            attributes = {"tissue": _TISSUES[findings[0].tissue], "kind": ";".join(found.kind for found in findings)}
            cases.append(
                Case(
                    id=name,
                    label=_label(findings),
                    image=image,
                    masks=(self._place / INFO,),
                    group=f"patient {(int(name.removeprefix('mdb')) + 1) // 2:03}",
                    attributes=attributes,
                    spacing=(_MILLIMETRES, _MILLIMETRES),
                )
            )
        if not cases:
            raise self._refused(self._place, f"not one of the films that {INFO} names is there")
        return sorted(cases, key=lambda case: case.id)

    def read_mask(self, case: Case) -> np.ndarray:
        """uint8 of 0 and 1, (height, width): discs. Raises OSError for a lesion whose circle is not known."""
        height, width = self.read_image(case).shape[:2]
        mask = np.zeros((height, width), np.uint8)
        for finding in self._findings[case.id]:
            if finding.kind == "NORM":
                continue
            if finding.circle is None:
                raise OSError(f"{INFO} gives no circle for {case.id}: its {finding.kind} is spread too widely for one")
            x, y, radius = finding.circle
            drawn = disc((height, width), height - 1 - y, x, radius)
            if not drawn.any():
                raise OSError(f"{INFO} puts a circle of {case.id} outside of its {width} x {height} pixels")
            mask |= drawn
        return mask

    def content(self, case: Case) -> str:
        """A hash of the image's bytes, and of what Info.txt says of this film alone."""
        assert case.image is not None
        findings = [[one.kind, one.severity, one.circle] for one in self._findings[case.id]]
        return digest([file_digest(case.image), findings, case.label, case.group, case.spacing], length=64)

    def _film(self, name: str) -> Path | None:
        """Kaggle's copy has the films in a folder of their own. A link that leads nowhere is a film, if a bad one."""
        places = (self._place / f"{name}.pgm", self._place / "all-mias" / f"{name}.pgm")
        return next((path for path in places if path.exists() or path.is_symlink()), None)

    @cached_property
    def _place(self) -> Path:
        return self._folder([INFO])

    @cached_property
    def _findings(self) -> Mapping[str, tuple[Finding, ...]]:
        """Film -> its lines."""
        path = self._place / INFO
        found: dict[str, tuple[Finding, ...]] = {}
        problems: list[Problem] = []
        for number, line in enumerate(_lines(path), start=1):
            match = _FILM.fullmatch(line.strip())
            if match is None:  # the heading, and the explanations before and after the list
                continue
            try:
                found[match["name"]] = (*found.get(match["name"], ()), _finding(match["rest"].split()))
            except ValueError as error:
                problems.append(Problem("dataset.root", str(error), f"{path}:{number}", line.strip()))
        if problems:
            raise UserError(shortened(problems))
        if not found:
            raise self._refused(self._place, f"{INFO} has no line that begins with a film, such as mdb001")
        return found


def disc(size: tuple[int, int], row: float, column: float, radius: float) -> np.ndarray:
    """uint8 of 0 and 1, `size`: the pixels whose centre lies within `radius` of (row, column)."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).astype(np.uint8)


def _finding(words: list[str]) -> Finding:
    """What stands behind the name of a film. Raises ValueError saying what is wrong with it."""
    if len(words) < 2 or words[0] not in _TISSUES or words[1] not in _KINDS:
        raise ValueError(f"must go on with a tissue ({', '.join(_TISSUES)}) and a kind ({', '.join(_KINDS)})")
    tissue, kind, *rest = words
    if kind == "NORM":
        return Finding(tissue, kind, "", None)
    if not rest or rest[0] not in _SEVERITIES:
        raise ValueError("an abnormality must be B (benign) or M (malignant)")
    if len(rest) == 1 or rest[1].startswith("*"):
        return Finding(tissue, kind, rest[0], None)
    if len(rest) != 4 or not all(word.isdecimal() and len(word) <= 5 for word in rest[1:]):
        raise ValueError("a circle must be three numbers, x, y and radius")
    x, y, radius = map(int, rest[1:])
    return Finding(tissue, kind, rest[0], (x, y, radius))


def _label(findings: Iterable[Finding]) -> str:
    severities = {finding.severity for finding in findings if finding.kind != "NORM"}
    return "malignant" if "M" in severities else "benign" if severities else "normal"


def _lines(path: Path) -> list[str]:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise OSError("not a file of text")
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(Problem("dataset.root", f"cannot be read: {reason}", value=str(path))) from error
