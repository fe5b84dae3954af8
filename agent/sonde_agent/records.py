"""Frozen records for the tap. dataclasses do the same, but importing them and having some thirty made costs a bare
interpreter 20 ms and 2 MiB, more than the rest of the tap, and each Python process that is followed pays it.
"""

from typing import Any, ClassVar, TypeVar, dataclass_transform

T = TypeVar("T", bound="Record")


@dataclass_transform(frozen_default=True)
class Record:
    """Fields are annotations of the class, with a default or without, given in order or by name. Equal when of the
    same class and equal in all fields. A default that is a list or dict is copied for each record."""

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = (name for name in cls.__annotations__ if name not in cls.FIELDS)
        cls.FIELDS = (*cls.FIELDS, *own)
        setattr(cls, "__match_args__", cls.FIELDS)  # noqa: B010 - which type checkers take for theirs to set

    def __init__(self, *values: Any, **named: Any) -> None:
        """Raises `TypeError` for a field that is missing, unknown or given twice."""
        fields = self.FIELDS
        if len(values) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields")
        given = dict(zip(fields, values, strict=False))
        for name in named:
            if name not in fields or name in given:
                raise TypeError(f"{type(self).__name__} cannot be given {name!r} so")
        given |= named
        for name in fields:
            if name not in given:
                try:
                    default = getattr(type(self), name)
                except AttributeError:
                    raise TypeError(f"{type(self).__name__} needs {name!r}") from None
                given[name] = default.copy() if type(default) in {dict, list} else default
        self.__dict__.update(given)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({shown})"


def changed(record: T, **fields: Any) -> T:
    """The same with other values in some fields."""
    return type(record)(**{**vars(record), **fields})
