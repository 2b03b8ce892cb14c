"""Named parts: a decorated function or class is all it takes to add one.

The sweep schema, the tests and the docs read the registries, so that nothing else has to be edited.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from utils.errors import Problem, UserError, nearest

Entry = TypeVar("Entry", bound=Callable[..., Any])


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Name -> factory of one kind of part, in order of registration.

    A part's options are the factory's keyword-only parameters with their annotations and defaults;
    positional parameters (a network's channel list, say) come from the program, never from YAML.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Decorator that files a factory under `name`; a name that is taken is a programming error."""

        def file(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered already, by {self._entries[name]!r}")
            self._entries[name] = entry
            return entry

        return file

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise UserError(
                Problem(
                    where=self.kind,
                    message=f"no such {self.kind}",
                    value=name,
                    nearest=nearest(name, self._entries),
                    choices=tuple(self._entries),
                )
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def options(self, name: str) -> type[BaseModel]:
        """The pydantic model of a part's keyword-only parameters; unknown ones are refused."""
        return options_of(self[name])

    def check(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a part with defaults filled in. Raises pydantic's ValidationError."""
        return self.options(name)(**options).model_dump()


@functools.cache
def options_of(factory: Callable[..., Any]) -> type[BaseModel]:
    """A frozen pydantic model with one field for each keyword-only parameter of `factory`."""
    fields: dict[str, Any] = {
        name: (_annotation(factory, parameter), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", frozen=True)
    return create_model(f"{getattr(factory, '__name__', 'part')}_options", __config__=config, **fields)


def _annotation(factory: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The type of an option. Those of other parameters and of the answer may need what is costly to import."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    function = factory.__init__ if inspect.isclass(factory) else inspect.unwrap(factory)
    return eval(parameter.annotation, function.__globals__)  # source of ours, as `inspect.signature` does it


__all__ = ["Registry", "ValidationError", "options_of"]
