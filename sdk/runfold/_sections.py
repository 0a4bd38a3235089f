"""Sections of a run configuration: objects with Azure ML's attributes, and the camelCase keys of its files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from runfold._filters import is_mapping
from runfold_events.contract.errors import Invalid


class Section:
    """Attributes with defaults. A key of a file that no attribute stands for is kept and written again.

    A subclass says in ``KEYS`` which key stands for which attribute, and sets its attributes in ``__init__``. An
    attribute that is a section itself is written as a nested mapping.
    """

    KEYS: ClassVar[Mapping[str, str]]  # attribute: key, in the order in which files have them
    _others: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The section as a file writes it."""
        written = {key: _written(getattr(self, name)) for name, key in self.KEYS.items()}
        return written | copy.deepcopy(self._other_keys())

    def update(self, content: Any, where: str) -> None:
        """Take what a file says; keys that are absent leave their attributes alone.

        Raises:
            Invalid: no mapping, or a value of another type; the message names its place.
        """
        if content is None:
            return
        if not is_mapping(content):
            raise _wrong(where, "a mapping", content)
        names = {key: name for name, key in self.KEYS.items()}
        others = self._other_keys()
        for key, value in content.items():
            place = f"{where}.{key}" if where else str(key)
            name = names.get(str(key))
            if name is None:
                others[str(key)] = value
            else:
                self._take(name, value, place)

    def _take(self, name: str, value: Any, place: str) -> None:
        present = getattr(self, name)
        if isinstance(present, Section):
            present.update(value, place)
        elif value is None and isinstance(present, bool | list | dict):
            return  # an empty place in a file is its default
        elif present is not None and value is not None and not _is_like(present, value):
            raise _wrong(place, type(present).__name__, value)
        else:
            setattr(self, name, value)

    def _other_keys(self) -> dict[str, Any]:
        if "_others" not in self.__dict__:
            self._others = {}
        return self._others

    @classmethod
    def of(cls, content: Any, where: str) -> Self:
        """A section with what a file says."""
        made = cls()
        made.update(content, where)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Section) and type(other) is type(self) and other.to_dict() == self.to_dict()

    __hash__ = None  # type: ignore[assignment]  # its attributes change

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_dict()!r})"


def _written(value: Any) -> Any:
    return value.to_dict() if isinstance(value, Section) else copy.deepcopy(value)


def _is_like(present: Any, value: Any) -> bool:
    """Whether a file's value may stand where ``present`` stands now. Files write numbers for texts, and so on."""
    if isinstance(present, bool):
        return isinstance(value, bool)
    for kind in (list, dict):
        if isinstance(present, kind):
            return isinstance(value, kind)
    return not isinstance(value, list | dict)


def _wrong(place: str, wanted: str, value: Any) -> Invalid:
    shown = repr(value)[:80]
    return Invalid(
        f"{place or 'the file'} must be {wanted}; it is {shown}",
        facts={"field": place, "limit": wanted, "size": shown},
    )
