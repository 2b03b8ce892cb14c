"""One tree out of several: base files < the file < --demo < --set. The upper layer wins.

Mappings are merged key by key and lists are replaced, with four exceptions that keep what belongs together:

- `search` is one thing: a file that has it does not continue its base's search. A `--set` inside it
  replaces exactly the value that it names.
- a part (``{focal: {gamma: 2}}``) merges its options only with a part of the same name, and a combination of parts
  (``{dice: 1, bce: 1}``) only with one of the same names; a dotted key inside one part of it leaves the others.
- `dataset.root` and `dataset.options` belong to `dataset.name`: another name starts without them.
- `folds.from` replaces all that it makes superfluous: k, test and validation.

`name` and `question` are a file's own and are not taken from its base: results are kept by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from experiments.sweep.file.reader import Node, Place, read_file, read_text
from experiments.sweep.schema.combination import WEIGHT
from experiments.sweep.schema.keys import is_part, split
from utils.errors import Problem, UserError

_MOST_BASES = 20
_CLEARING = (("dataset", "name"), ("folds", "from"))


def read_layers(path: Path) -> Node:
    """The mapping in a sweep file, merged over its base files.

    Raises UserError for a file that cannot be read and for base files that lead back to themselves.
    """
    return _with_bases(read_file(path), path, (path.resolve(),))


def apply_overrides(root: Node, overrides: Sequence[str]) -> Node:
    """The tree with ``key=value`` overrides, in their order. Raises UserError with all that cannot be read."""
    problems: list[Problem] = []
    values: list[tuple[Place, Node]] = []
    for text in overrides:
        source = f"--set {text}"
        key, equals, value = (part.strip() for part in text.partition("="))
        steps = split(key)
        if not equals or not all(steps):
            problems.append(Problem(source, "must be a dotted key, =, and a value, such as training.epochs=5"))
            continue
        if steps[0] == "base":
            problems.append(Problem(source, "the base belongs into the file; what of it is to differ can be set here"))
            continue
        try:
            values.append((steps, read_text(value, source, numbered=False)))
        except UserError as error:
            problems.extend(error.problems)
    if problems:
        raise UserError(problems)
    return assign_all(root, values)


def assign_all(root: Node, values: Iterable[tuple[Place, Node]]) -> Node:
    """The tree with several values put at places, in their order, but those first that clear others away."""
    for place, value in sorted(values, key=lambda item: item[0] not in _CLEARING):
        root = assign(root, place, value)
    return root


def assign(root: Node, place: Place, value: Node) -> Node:
    """The tree with a value put at a place: merged as a layer, but replaced inside `search`."""
    if place[0] == "search":
        return _replace(root, place, value)
    for depth in reversed(range(len(place))):
        value = Node({**_beside(root, place[:depth], place[depth]), place[depth]: value}, value.source)
    return merge(root, value)


def remove(root: Node, place: Place) -> Node:
    """The tree without what stands at a place below mappings; itself where nothing does."""
    if not isinstance(root.content, Mapping) or place[0] not in root.content:
        return root
    content = dict(root.content)
    if len(place) > 1:
        content[str(place[0])] = remove(content[str(place[0])], place[1:])
    else:
        del content[str(place[0])]
    return Node(content, root.source)


def merge(under: Node, over: Node, place: Place = ()) -> Node:
    """The upper node laid over the lower one; `place` is where both stand."""
    key = ".".join(map(str, place))
    if not isinstance(under.content, Mapping) or not isinstance(over.content, Mapping):
        # `focal` under `{focal: {gamma: 3}}` needs no merging: a bare name has no options to lose.
        return over
    if key == "search" or (is_part(key) and set(under.content) != set(over.content)):
        return over
    lower = dict(under.content)
    if key == "dataset" and "name" in over.content and _differ("name", under, over):
        lower = {name: node for name, node in lower.items() if name not in ("root", "options")}
    if key == "folds" and over.content.get("from", Node(None, "")).content is not None:
        lower = {name: node for name, node in lower.items() if name not in ("k", "test", "validation")}
    merged = dict(lower)
    for name, node in over.content.items():
        if name in lower and is_part(key):
            merged[name] = merge(*_alike(lower[name], node), (*place, name))
        else:
            merged[name] = merge(lower[name], node, (*place, name)) if name in lower else node
    # What the upper layer adds to a mapping does not move the mapping.
    return Node(merged, under.source if key else over.source)


def _beside(root: Node, place: Place, step: str | int) -> Mapping[str, Node]:
    """The parts of the combination at a place that has `step` among them; none for anything else."""
    node = root.at(place) if is_part(".".join(map(str, place))) else None
    return node.content if node is not None and isinstance(node.content, Mapping) and step in node.content else {}


def _alike(under: Node, over: Node) -> tuple[Node, Node]:
    """Both, a weight (``{dice: 2}``) as the mapping that it is short for if the other one is a mapping."""

    def as_mapping(node: Node, other: Node) -> Node:
        short = type(node.content) in (int, float) and isinstance(other.content, Mapping)
        return Node({WEIGHT: node}, node.source) if short else node

    return as_mapping(under, over), as_mapping(over, under)


def _differ(name: str, under: Node, over: Node) -> bool:
    below = under.content.get(name)
    return below is not None and below.plain() != over.content[name].plain()


def _replace(node: Node | None, place: Place, value: Node) -> Node:
    if not place:
        return value
    inside = node.content if node is not None and isinstance(node.content, Mapping) else {}
    step = place[0]
    source = node.source if node is not None else value.source
    return Node({**inside, step: _replace(inside.get(step), place[1:], value)}, source)


def _with_bases(node: Node, path: Path, above: tuple[Path, ...]) -> Node:
    base = node.content.get("base")
    if base is None or base.content is None:
        return node
    if not isinstance(base.content, str) or not base.content.strip():
        problem = Problem("base", "must be the path of a YAML file", source=base.source, value=base.plain())
        raise UserError(problem)
    below = path.parent / base.content
    try:
        real = below.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(Problem("base", f"is no usable path: {error}", source=base.source)) from None
    if real in above:
        circle = " -> ".join(item.name for item in (*above[above.index(real) :], real))
        raise UserError(Problem("base", f"leads back to itself: {circle}", source=base.source))
    if len(above) >= _MOST_BASES:
        raise UserError(Problem("base", f"more than {_MOST_BASES} files deep", source=base.source))
    under = _with_bases(read_file(below, base.source), below, (*above, real))
    own = {name: item for name, item in under.content.items() if name not in ("name", "question", "base")}
    return merge(Node(own, under.source), node)
