from __future__ import annotations

from pathlib import Path

import pytest

from experiments.sweep.file.reader import read_file, read_text
from utils.errors import Problem, UserError


def problem_of(text: str) -> Problem:
    with pytest.raises(UserError) as raised:
        read_text(text, "f.yaml")
    [problem] = raised.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("3e-4", 3e-4),
        ("3.0e-4", 3e-4),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("010", 10),
        ("0x1F", 31),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("no", "no"),
        ("off", "off"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("none", "none"),
        ("'16'", "16"),
        ("-7", -7),
        ("1.", 1.0),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
        ("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}),
        ("[&x {a: 1}, *x]", [{"a": 1}, {"a": 1}]),
        ("{null: 1, 16: 2, true: 3}", {"null": 1, "16": 2, "true": 3}),
    ],
)
def test_scalars_are_read_as_in_yaml_1_2(text: str, value: object) -> None:
    read = read_text(text, "f").plain()
    assert read == value
    assert type(read) is type(value)


def test_every_value_knows_its_line() -> None:
    node = read_text("a:\n  b:\n    - 1\n    - 2\n  c: {d: 3}\n", "f.yaml")
    assert node.source_at(("a",)) == "f.yaml:1"
    assert node.source_at(("a", "b")) == "f.yaml:2"
    assert node.source_at(("a", "b", 1)) == "f.yaml:4"
    assert node.source_at(("a", "c", "d")) == "f.yaml:5"
    assert node.source_at(("a", "c", "missing", 7)) == "f.yaml:5"


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    problem = problem_of("a: 1\nb: 2\na: 3\n")
    assert (problem.where, problem.source) == ("a", "f.yaml:3")
    assert "f.yaml:1" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("a: [1, 2\nb: 3\n", 2, "not valid YAML"),
        ("a: 1\nb: 'x\n", 3, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "document"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "tag"),
        ("a: !!binary aGk=\n", 1, "tag"),
        ("a: 1\nb: !!int x\n", 2, "int"),
        ("a: 1\n? [x]\n: 2\n", 2, "key"),
        ("a: &x\n  b: *x\n", 1, "contains itself"),
        ("a: *x\n", 1, "not valid YAML"),
        ("a: 1\nb: \x01\n", 2, "not valid YAML"),
        ('a: 1\nb: "\\ud800"\n', 2, "surrogate"),
        ("a: 1\n<<: 5\n", 2, "<<"),
        (f"a: 1\nb: {'1' * 5000}\n", 2, "int"),
        ("[" * 2000, 1, "deep"),
        ("{a: " * 2000, 1, "deep"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{x}: &{x} [{','.join([f'*{w}'] * 9)}]\n" for w, x in zip("abcdefg", "bcdefgh", strict=True)),
            0,
            "aliases",
        ),
        ("a" * 600_000, 0, "longer"),
    ],
)
def test_what_is_no_plain_yaml_is_one_problem_with_its_line(text: str, line: int, words: str) -> None:
    problem = problem_of(text)
    assert words in str(problem)
    if line:
        assert problem.source == f"f.yaml:{line}"


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"- a\n- b\n", b"5\n"])
def test_a_file_must_be_a_mapping(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is empty|must be a mapping"):
        read_file(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "encoders.yaml").write_text("name: x\n", encoding="utf-8")
    (tmp_path / "latin.yaml").write_bytes("name: x\nquestion: \xfc\n".encode("latin-1"))
    (tmp_path / "large.yaml").write_bytes(b"# " + b"x" * 600_000)
    with pytest.raises(UserError, match=r"encoder\.yaml.*No such file.*did you mean '.*encoders\.yaml'"):
        read_file(tmp_path / "encoder.yaml")
    with pytest.raises(UserError, match="directory"):
        read_file(tmp_path)
    with pytest.raises(UserError, match=r"latin\.yaml:2.*UTF-8"):
        read_file(tmp_path / "latin.yaml")
    with pytest.raises(UserError, match="larger than"):
        read_file(tmp_path / "large.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        read_file(tmp_path / "nul\0.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_file(tmp_path / "f.yaml").plain() == {"name": "x"}
