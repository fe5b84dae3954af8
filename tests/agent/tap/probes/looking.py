"""What the tests of captures speak with: a redaction that is easy to foresee, and objects that tell when they are touched."""

import json
from typing import Any

from sonde_agent.tap.probes.allowance import Limits
from sonde_agent.tap.probes.representer import Representer

PLENTY = Limits(seconds=30.0)
"""For tests that are not about time: the machine may be busy."""

touched: list[str] = []
"""What canaries were asked."""


class Foreseen:
    """Hides names with `secret` in them, types that end with `Secret`, and the text `hunter2`."""

    def __init__(self, shows_values: bool = True) -> None:
        self.shows_values = shows_values

    def hides_name(self, name: str) -> bool:
        return "secret" in name

    def hides_type(self, qualified_type_name: str) -> bool:
        return qualified_type_name.endswith("Secret")

    def text(self, text: str) -> str:
        return text.replace("hunter2", "***")


def node(thing: object, limits: Limits = PLENTY, shows_values: bool = True, name: str = "") -> dict[str, Any]:
    made = Representer(limits, Foreseen(shows_values)).value(name, thing)
    json.dumps(made, allow_nan=False).encode("ascii")
    return made


def fields(made: dict[str, Any]) -> dict[str, Any]:
    return dict(made["fields"])


def _telling(name: str) -> Any:
    def method(*_: object, **__: object) -> Any:
        touched.append(name)
        raise AssertionError(f"{name} of the program was called")

    return method


_ASKED = [
    "__bool__",
    "__bytes__",
    "__call__",
    "__complex__",
    "__contains__",
    "__dir__",
    "__eq__",
    "__float__",
    "__format__",
    "__ge__",
    "__getattr__",
    "__getattribute__",
    "__getitem__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__index__",
    "__instancecheck__",
    "__int__",
    "__iter__",
    "__le__",
    "__len__",
    "__length_hint__",
    "__lt__",
    "__missing__",
    "__ne__",
    "__next__",
    "__reduce__",
    "__reduce_ex__",
    "__repr__",
    "__sizeof__",
    "__str__",
    "__subclasscheck__",
    "keys",
    "items",
    "values",
    "isoformat",
    "utcoffset",
]


def canary_of(*bases: type, **namespace: Any) -> Any:
    """A class that is made from these, whose methods and metaclass tell when they are called."""
    kinds = [type(base) for base in bases]
    meta_base = next((kind for kind in kinds if kind is not type), type)
    telling = {name: _telling(name) for name in _ASKED}
    meta = type("Meta", (meta_base,), {**telling, "__prepare__": lambda *_, **__: {}})
    body = {**telling, "__class__": property(_telling("__class__")), **namespace}
    return type.__new__(meta, "Canary", bases, body)


def alive(kind: Any, *arguments: Any, base: Any = object) -> Any:
    """An instance, made without asking its metaclass."""
    return base.__new__(kind, *arguments)
