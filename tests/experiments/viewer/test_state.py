"""Keys and trackbars, without a window."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.prediction import Inference
from experiments.viewer import KEYS, SIZES, View, key_named, moved, pressed
from experiments.viewer.state import TRACKBARS, help_text

START = View.of(3, clip_limit=0)


def after(*names: str, view: View = START) -> View:
    for name in names:
        found = pressed(view, key_named(name))
        assert isinstance(found, View), f"{name} does something else"
        view = found
    return view


def test_the_images_go_round() -> None:
    assert after("n").index == 1 and after("n", "right", "n").index == 0
    assert after("p").index == 2 and after("p", "left").index == 1


def test_each_key_changes_what_it_says_and_nothing_else() -> None:
    changes = {
        **{"n": "index", "p": "index", "+": "opacity", "-": "opacity", "]": "threshold", "[": "threshold"},
        **{"c": "clahe", ".": "strength", ",": "strength", "z": "size", "t": "truth"},
    }
    assert set(changes) == {key.names[0] for key in KEYS} - {"s", "q"}
    for name, field in changes.items():
        differ = {each.name for each in fields(View) if getattr(after(name), each.name) != getattr(START, each.name)}
        assert differ == {field}
    assert after("+").opacity == 40 and after("[").threshold == 45 and after(".").strength == 25
    assert after("c", "c") == START == after("t", "t") == after(*["z"] * len(SIZES)) == pressed(START, -1)
    assert (pressed(START, key_named("s")), pressed(START, key_named("escape"))) == ("save", "quit")


def test_no_key_stands_for_two_things_and_all_are_explained() -> None:
    codes = [code for key in KEYS for code in key.codes]
    assert len(set(codes)) == len(codes)
    told = help_text().splitlines()
    assert len(told) == len(KEYS)
    assert all(", ".join(key.names) in line and key.does in line for key, line in zip(KEYS, told, strict=True))
    with pytest.raises(KeyError):
        key_named("F13")


def test_the_networks_are_asked_as_the_view_says() -> None:
    assert View.of(1, clip_limit=0).inference == Inference(clip_limit=0.0)
    assert View.of(1, clip_limit=3.0).inference == Inference(clip_limit=3.0), "as in training"
    assert after("c", "z", ".").inference == Inference(sizes=(512,), clip_limit=2.5)
    assert after("z", "z", "c", "c").inference == Inference(sizes=(1024,), clip_limit=0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([key.codes[0] for key in KEYS]), max_size=60), st.integers(1, 4), st.floats(0, 40))
def test_whatever_is_pressed_the_view_can_be_shown(codes: list[int], count: int, limit: float) -> None:
    view = View.of(count, limit)
    for code in codes:
        answer = pressed(view, code)
        view = answer if isinstance(answer, View) else view
    assert 0 <= view.index < count and view.size in SIZES
    for caption, (field, low, high) in TRACKBARS.items():
        assert low <= getattr(view, field) <= high
        assert moved(view, caption, getattr(view, field)) == view
        assert getattr(moved(view, caption, high + 9), field) == high
        assert getattr(moved(view, caption, low - 9), field) == low
