"""Machines that would compute with other versions than the driver's are named, each difference once."""

from __future__ import annotations

import platform

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.preflight.versions import ABSENT, Versions, version_problems, versions

INSTALLED = st.dictionaries(st.sampled_from(["python", "torch", "cuda", "ray"]), st.sampled_from(["1", "2", "3"]))
MACHINES = st.lists(INSTALLED, max_size=4).map(
    lambda each: [Versions(f"node-{number}", installed) for number, installed in enumerate(each)]
)


def test_this_machine_knows_its_versions() -> None:
    here = versions()
    assert here.host == platform.node()
    assert here.installed["torch"] == torch.__version__.partition("+")[0]
    assert here.installed["python"] == platform.python_version()
    assert ABSENT not in {here.installed[name] for name in ("ray", "timm", "segmentation-models-pytorch")}
    assert here == versions()


def test_a_difference_says_where_and_what() -> None:
    here = Versions("head", {"ray": "2.60", "torch": "2.15"})
    others = [
        Versions("b", {"ray": "2.59", "torch": "2.15"}),
        Versions("a", {"ray": "2.59", "torch": "2.15"}),
        Versions("c", {"torch": "2.15"}),
    ]
    [problem] = version_problems(here, others)
    assert problem.message.startswith("ray is 2.60 on head, but 2.59 on a, b; none on c: ")


@settings(max_examples=60, deadline=None)
@given(INSTALLED, MACHINES)
def test_each_difference_is_one_problem_and_each_problem_a_difference(
    installed: dict[str, str], others: list[Versions]
) -> None:
    here = Versions("driver", installed)
    names = {*installed, *(name for each in others for name in each.installed)}
    differing = {
        name
        for name in names
        if any(each.installed.get(name, ABSENT) != installed.get(name, ABSENT) for each in others)
    }
    problems = version_problems(here, others)
    assert sorted(problem.message.split()[0] for problem in problems) == sorted(differing)
    for problem in problems:
        name = problem.message.split()[0]
        odd = {each.host for each in others if each.installed.get(name, ABSENT) != installed.get(name, ABSENT)}
        assert {host for host in (each.host for each in others) if host in problem.message} == odd


@settings(max_examples=30, deadline=None)
@given(INSTALLED, st.integers(0, 4))
def test_equal_machines_have_no_problem(installed: dict[str, str], count: int) -> None:
    others = [Versions(f"node-{number}", dict(installed)) for number in range(count)]
    assert version_problems(Versions("driver", installed), others) == []
