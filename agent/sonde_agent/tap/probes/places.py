"""What is said of a place that was looked for: why there is nothing yet, and what is wrong with it; and functions that go by
another name than their code's."""

# pathlib costs a program that does not use it more at start than it would be worth here.

import sys
from collections.abc import Iterable, Iterator
from functools import partial, partialmethod
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from sonde_agent.tap import code_lines, inert
from sonde_agent.tap.probes.finding import Files, Found, Spot, is_ours, lines_of
from sonde_agent.tap.probes.specification import FunctionPlace, LinePlace

_MOST_WRAPPERS = 20


def unreachable(until: int | None, spots: Iterable[Spot]) -> str:
    """A sentence when a timer's line is not in the function that it begins in."""
    for spot in spots:
        if until is not None and end_of(spot.code, until) is None:
            name = spot.code.co_qualname
            return f"{name} has no code at line {until} or after it: a timer ends in the function that it begins in"
    return ""


def end_of(code: CodeType, until: int) -> int | None:
    return min((line for line in lines_of(code) if line >= until), default=None)


def judged(place: LinePlace, files: Files, found: Found) -> Found:
    """A line of a module's own code, which has run and is gone, is not to become the next line of some function."""
    if found.is_ambiguous or (found.spots and found.spots[0].line == place.line):
        return found
    for path, names in _modules(files):
        code = code_lines.of_file(path, [names])
        if place.line in code.compiled and place.line not in code.loaded:
            return Found(
                problem=""
                if place.line in code.at_import
                else f"{place.path} has code at line {place.line} in {code.compiled[place.line]}, which does not exist now"
            )
    return found


def why_pending(place: LinePlace | FunctionPlace, files: Files | None) -> str:
    if isinstance(place, FunctionPlace):
        module = sys.modules.get(place.module)
        if module is None:
            return f"the module {place.module} is not imported yet"
        return f"the module {place.module} is imported, but there is no function {place.function} in it now"
    if files is not None and next(_modules(files), None) is not None:
        return f"line {place.line} of {place.path} is code that has run already: it is found when the module is loaded again"
    return f"no file that is or ends in {place.path} is loaded yet"


def resolved(place: FunctionPlace) -> Found:
    """The function that goes by this name in the module, from wherever its code is: another module, a base class, behind
    decorators. Nothing of the program's runs."""
    names = inert.names_in(place.module)
    parts = place.function.split(".")
    thing: Any = names.get(parts[0])
    for part in parts[1:]:
        thing = next((own[part] for own in _namespaces(thing) if part in own), None)
    functions = list(_functions(thing))
    codes = {id(each.__code__): each.__code__ for each in functions if not is_ours(each.__code__.co_filename)}
    wanted = parts[-1]
    own = [code for code in codes.values() if code.co_name == wanted] or list(codes.values())[-1:]
    return Found(tuple(Spot(code, code.co_firstlineno) for code in own))


def _namespaces(thing: Any) -> Iterator[dict[str, Any]]:
    if type(thing) is ModuleType:
        yield inert.attributes(thing)
    elif issubclass(type(thing), type):
        for each in inert.bases(thing):
            yield dict(type.__dict__["__dict__"].__get__(each))


def _functions(thing: Any) -> Iterator[FunctionType]:
    """What is called when it is, and what that wraps, outermost first."""
    waiting = [thing]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_WRAPPERS:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        kind = type(each)
        if kind is FunctionType:
            yield each
            waiting += [inert.attributes(each).get("__wrapped__"), *_closed_over(each)]
        elif kind is MethodType or kind is staticmethod or kind is classmethod:
            waiting.append(each.__func__)
        elif kind is property:
            waiting += [each.fget, each.fset, each.fdel]
        elif kind is partial or kind is partialmethod:
            waiting.append(each.func)
        else:
            own = inert.attributes(each)
            waiting += [own.get(name) for name in ("__wrapped__", "func", "fget", "_func") if name in own]


def _closed_over(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            found = cell.cell_contents
        except ValueError:  # not yet filled
            continue
        if type(found) in {FunctionType, MethodType, staticmethod, classmethod, partial}:
            yield found


def _modules(files: Files) -> Iterator[tuple[str, dict[str, Any]]]:
    for module in sys.modules.copy().values():
        names = inert.attributes(module) if issubclass(type(module), ModuleType) else {}
        path = names.get("__file__")
        if type(path) is str and path in files:
            yield path, names
