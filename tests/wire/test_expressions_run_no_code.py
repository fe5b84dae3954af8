"""Whatever is written and whatever it meets, an expression runs none of the program's code, and never takes long."""

import ast
import contextlib
import decimal
import enum
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_expressions import (
    Expression,
    ExpressionFailed,
    InvalidExpression,
    compile_expression,
    compile_template,
)
from sonde_expressions.inert import class_name

ran: list[str] = []
"""What of the program was run."""

SPECIAL = "abs add and bool bytes call ceil complex contains delattr delitem dir divmod enter eq exit float floor format"
SPECIAL += " floordiv ge getattr getattribute getitem gt iadd imul index int invert iter le len length_hint lt missing mod"
SPECIAL += " mul ne neg next or pos pow radd repr reversed rfloordiv rmod rmul round rpow rsub rtruediv setattr str sub"
SPECIAL += " truediv trunc xor"
METHODS = "lower startswith split strip count find get items keys values"
OF_CODE = [*(f"__{name}__" for name in SPECIAL.split()), *METHODS.split()]


def trap(name: str) -> Callable[..., Any]:
    def run(*_: Any, **__: Any) -> Any:
        ran.append(name)
        raise AssertionError(name)

    return run


class Meta(type):
    """A class of classes whose every answer is code."""

    __hash__ = trap("Meta.__hash__")
    __eq__ = trap("Meta.__eq__")
    __getattribute__ = trap("Meta.__getattribute__")
    __instancecheck__ = trap("Meta.__instancecheck__")
    __subclasscheck__ = trap("Meta.__subclasscheck__")
    __bool__ = trap("Meta.__bool__")
    __len__ = trap("Meta.__len__")
    __repr__ = trap("Meta.__repr__")


class Descriptor:
    __get__ = trap("Descriptor.__get__")


class DataDescriptor(Descriptor):
    __set__ = trap("DataDescriptor.__set__")


def body(*without: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: trap(name) for name in OF_CODE if name not in without}
    found |= {
        "__hash__": lambda _: hash("a"),
        "__module__": __name__,
        "__class__": property(trap("__class__")),
    }
    found |= {"a": property(trap("a")), "b": Descriptor(), "total": DataDescriptor()}
    return {name: each for name, each in found.items() if name not in without}


def hostile(*kinds: type, **more: Any) -> Any:
    """A class of which everything is code; `more` is what it has besides, or None for what it has not."""
    without = [name for name, each in more.items() if each is None]
    inside = body(*without) | {name: each for name, each in more.items() if each is not None}
    return type.__call__(Meta, "Hostile", kinds, inside)


_plain = {"__getattribute__": None, "__setattr__": None}
_dict_property = property(trap("__dict__"))


def things() -> dict[str, Any]:
    """What an expression may meet, by name."""
    keyed = hostile(__getattribute__=None)
    found: dict[str, Any] = {
        "hostile": object.__new__(hostile()),
        "open": object.__new__(hostile(**_plain)),
        "hidden": object.__new__(hostile(__dict__=_dict_property, **_plain)),
        "text": str.__new__(hostile(str), "a"),
        "number": int.__new__(hostile(int), 7),
        "real": float.__new__(hostile(float), 0.5),
        "raw": bytes.__new__(hostile(bytes), b"a"),
        "sequence": list.__new__(hostile(list)),
        "pair": tuple.__new__(hostile(tuple), (1, 2)),
        "table": dict.__new__(hostile(dict)),
        "group": set.__new__(hostile(set)),
        "error": Exception.__new__(hostile(Exception, **_plain)),
        "kind": hostile(),
        "members": [object.__new__(hostile())],
        "keys": {object.__new__(keyed): 1, "b": 2},
        "set_of": {object.__new__(keyed)},
        "deep": {"a": {"a": [object.__new__(hostile())]}},
        "plain": {"a": 1, "b": [1, "a", None, 2.5]},
        "items": ["a", 1, 2.0],
        "n": 7,
        "price": decimal.Decimal("1.5"),
        "nothing": None,
        "flags": frozenset({1, "a"}),
        "iterator": iter([1]),
        "code": trap("code"),
        "module": sys,
    }
    own = object.__getattribute__(found["open"], "__dict__")
    own.update(a=1, b=2, own=found["hostile"], total=3)
    list.append(found["sequence"], found["hostile"])
    dict.__setitem__(found["table"], "a", found["hostile"])
    return found


THINGS = things()
NAMES = [*THINGS, "missing"]


@pytest.fixture(autouse=True)
def nothing_of_the_program_ran() -> Iterator[None]:
    ran.clear()
    yield
    assert ran == []


def tried(text: str) -> Any:
    """What an expression gives; its failure otherwise."""
    try:
        expression = compile_expression(text)
    except InvalidExpression as refused:
        assert 0 <= refused.position <= refused.position + refused.length <= len(text)
        return refused
    try:
        found = expression.evaluate(THINGS, {})
    except ExpressionFailed as failed:
        return failed
    with contextlib.suppress(ExpressionFailed):
        expression.holds(THINGS, {})
    return found


atoms = st.sampled_from(
    [*NAMES, "1", "0", "2.5", "'a'", "''", "b'a'", "None", "True", "-1", "1e308", "9" * 50, "()", "[]"]
)
fields = st.sampled_from(
    ["a", "b", "own", "total", "method", "args", "real", "lower", "__class__", "gi_frame", "f_globals"]
)
signs = st.sampled_from(
    ["+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or", "is"]
)
functions = st.sampled_from(["len", "type", "abs", "round", "min", "max", "isinstance", "print"])
methods = st.sampled_from(
    ["lower", "startswith", "split", "strip", "find", "count", "format", "get", "upper"]
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, signs, inner).map(lambda it: f"{it[0]} {it[1]} {it[2]}"),
        st.tuples(inner, fields).map(lambda it: f"{it[0]}.{it[1]}"),
        st.tuples(inner, inner).map(lambda it: f"{it[0]}[{it[1]}]"),
        st.tuples(inner, inner, inner).map(lambda it: f"({it[0]} if {it[1]} else {it[2]})"),
        st.tuples(functions, st.lists(inner, max_size=3)).map(lambda it: f"{it[0]}({', '.join(it[1])})"),
        st.tuples(inner, methods, st.lists(inner, max_size=2)).map(
            lambda it: f"{it[0]}.{it[1]}({', '.join(it[2])})"
        ),
        st.lists(inner, max_size=3).map(lambda it: f"[{', '.join(it)}]"),
        inner.map(lambda it: f"({it})"),
        inner.map(lambda it: f"not {it}"),
        inner.map(lambda it: f"-{it}"),
        inner.map(lambda it: f"{it}[:2]"),
    )


expressions = st.recursive(atoms, grown, max_leaves=8)


@given(expressions)
def test_no_expression_runs_the_programs_code(text: str) -> None:
    ran.clear()
    tried(text)
    assert ran == [], text


@given(st.text(max_size=60) | st.text("()[]{}.,:=<>+-*/%'\"\\ nabfix019_\n\0", max_size=60))
def test_any_text_is_refused_or_evaluated(text: str) -> None:
    if type(tried(text)) is not InvalidExpression:
        ast.parse(text.strip(" \t\r\n"), mode="eval")
    with contextlib.suppress(InvalidExpression):
        compile_template(text)


@given(expressions)
def test_what_is_accepted_is_python(text: str) -> None:
    if type(tried(text)) is not InvalidExpression:
        ast.parse(text, mode="eval")


builtin_values = st.sampled_from(
    [
        "1",
        "0",
        "-3",
        "2.5",
        "'ab'",
        "''",
        "b'a'",
        "None",
        "True",
        "False",
        "n",
        "s",
        "x",
        "xs",
        "xs[0]",
        "d['k']",
        "t",
    ]
)
plain_signs = st.sampled_from(
    ["+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
)
PLAIN: dict[str, Any] = {"n": 5, "s": "abc", "x": 0.5, "xs": [1, "a", 2], "d": {"k": 3, 1: "b"}, "t": (1, 2)}


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, plain_signs, inner).map(lambda it: f"{it[0]} {it[1]} {it[2]}"),
        st.tuples(inner, inner, inner).map(lambda it: f"{it[0]} if {it[1]} else {it[2]}"),
        inner.map(lambda it: f"({it})"),
        inner.map(lambda it: f"not {it}"),
        inner.map(lambda it: f"-{it}"),
        inner.map(lambda it: f"len({it})"),
        st.lists(inner, max_size=3).map(lambda it: f"[{', '.join(it)}]"),
        st.lists(inner, min_size=2, max_size=3).map(lambda it: f"max({', '.join(it)})"),
    )


@given(st.recursive(builtin_values, combined, max_leaves=8))
def test_what_has_a_value_here_has_the_same_in_python(text: str) -> None:
    try:
        found = compile_expression(text).evaluate(PLAIN, {})
    except (InvalidExpression, ExpressionFailed):
        return
    expected = eval(text, {}, dict(PLAIN))  # noqa: S307 - made of the pieces above
    assert repr(found) == repr(expected), text


SHAPES = [
    "{}", "{} == 1", "{} == 'a'", "1 == {}", "{} != {}", "{} < 1", "'a' < {}", "{} in items", "{} in plain", "'a' in {}",
    "1 in {}", "not {}", "{} and 1", "1 if {} else 2", "len({})", "type({})", "isinstance({}, int)", "abs({})",
    "round({})", "min({}, 1)", "max(1, {})", "{} + 1", "1 + {}", "{} * 2", "'a' * {}", "{} ** 2", "2 ** {}", "-{}",
    "{}[0]", "{}['a']", "items[{}]", "plain[{}]", "{}[:1]", "{}.a", "{}.b", "{}.own", "{}.total", "{}.args", "{}.lower()",
    "'a'.startswith({})", "{}.startswith('a')", "{}.split()", "'a'.strip({})", "[{}] == [1]", "({}, 1) < (2, 1)",
    "plain == {}", "{} == plain", "{} == items", "flags == {}", "{} is None", "{} == {}", "[{}] == [{}]", "0 < {} < 1",
]  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name in THINGS if name not in ("n", "nothing", "plain", "items", "flags")]
)
def test_nothing_of_a_hostile_object_is_run(name: str) -> None:
    for shape in SHAPES:
        assert type(tried(shape.replace("{}", name))) is not InvalidExpression, shape
        assert ran == [], shape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open.b", 2),
        ("open.own is None", False),
        ("text == 'a'", True),
        ("text.upper()", "A"),
        ("number + 1", 8),
        ("number > 3", True),
        ("real * 2", 1.0),
        ("raw == b'a'", True),
        ("len(sequence)", 1),
        ("len(table)", 1),
        ("pair[1]", 2),
        ("pair == (1, 2)", True),
        ("not group", True),
        ("'a' in table", True),
        ("error.args == ()", True),
        ("isinstance(hostile, Hostile)", True),
        ("type(number)", f"{__name__}.Hostile"),
    ],
)
def test_a_hostile_object_is_read_as_what_it_is_made_from(text: str, expected: object) -> None:
    assert tried(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "().__class__.__mro__",
        "().__class__.__bases__[0].__subclasses__()",
        "n.__getattribute__('a')",
        "'{0.__class__}'.format(n)",
        "f'{hostile}'",
        "(lambda: hostile())()",
        "(m := hostile)",
        "[m for m in sequence]",
        "hostile()",
        "code()",
        "eval('1')",
        "getattr(n, 'a')",
        "n.\uff3f\uff3fclass\uff3f\uff3f()",
        "type(n)('x', (), {})",
        "isinstance(n, code())",
        "module.modules['os'].system('true')",
        "@code",
        "n if (yield) else n",
        "await code",
        "text.__class__",
        "text.lower.__self__",
        "print(1)",
        "exec('1')\n",
        "n.real.__doc__",
    ],
)
def test_an_escape_is_refused_when_it_is_written(text: str) -> None:
    assert type(tried(text)) is InvalidExpression


@pytest.mark.parametrize(
    "field", ["gi_frame", "f_globals", "tb_frame", "f_back", "cr_frame", "func_globals", "gi_code"]
)
def test_the_interpreters_own_parts_are_not_read(field: str) -> None:
    def generator() -> Iterator[int]:
        yield 1

    names: dict[str, Any] = {"gen": generator(), "frame": sys._getframe(), "function": generator}
    try:
        raise ValueError
    except ValueError as error:
        names["tb"] = error.__traceback__
    for name in names:
        with pytest.raises(ExpressionFailed):
            compile_expression(f"{name}.{field}").evaluate(names, {})


class Namespace(dict[str, Any]):
    __getitem__ = trap("Namespace.__getitem__")
    __contains__ = trap("Namespace.__contains__")
    __missing__ = trap("Namespace.__missing__")
    get = trap("Namespace.get")


def test_names_that_are_kept_by_a_class_of_the_program_are_read_past_it() -> None:
    names = Namespace()
    dict.__setitem__(names, "n", 3)
    assert compile_expression("n == 3").evaluate(names, names) is True
    with pytest.raises(ExpressionFailed, match="no name"):
        compile_expression("m").evaluate(names, names)


class Mapping:
    __getitem__ = trap("Mapping.__getitem__")
    get = trap("Mapping.get")


def test_names_that_are_no_dict_are_not_asked() -> None:
    names: Any = Mapping()
    with pytest.raises(ExpressionFailed, match="not asked"):
        compile_expression("n").evaluate(names, {})


def test_a_missing_key_does_not_make_one() -> None:
    from collections import defaultdict

    table: Any = defaultdict(trap("default_factory"))
    with pytest.raises(ExpressionFailed, match="no such key"):
        compile_expression("table['a']").evaluate({"table": table}, {})
    assert len(table) == 0


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colour.name == 'RED'", True),
        ("colour.value", "red"),
        ("level > 2", True),
        ("level in (1, 3)", True),
        ("3 in by_level", True),
        ("by_level[3]", "x"),
        ("'red' in by_colour", False),
    ],
)
def test_members_of_enumerations_are_read(text: str, expected: object) -> None:
    names = {
        "colour": Colour.RED,
        "level": Level.HIGH,
        "by_level": {Level.HIGH: "x"},
        "by_colour": {Colour.RED: 1},
    }
    assert compile_expression(text).evaluate(names, {}) == expected


def test_a_class_says_its_name_even_when_its_name_is_of_a_class_of_the_program() -> None:
    class Loud(str):
        __slots__ = ()
        __str__ = trap("Loud.__str__")
        __eq__ = trap("Loud.__eq__")
        __hash__ = str.__hash__
        __getitem__ = trap("Loud.__getitem__")
        __format__ = trap("Loud.__format__")

    kind = type("K", (), {"__module__": Loud("m"), "__qualname__": Loud("Q")})
    assert class_name(kind) == "Q"
    assert compile_expression("isinstance(k, Q) and type(k) == 'Q'").evaluate({"k": kind()}, {}) is True


def test_nothing_is_warned_of_where_bytes_meet_texts() -> None:
    """Under -bb and -W error a warning would be an exception of the interpreter's."""
    program = """
import sys
from sonde_expressions import ExpressionFailed, compile_expression
names = {"b": b"a", "t": "a", "of_b": {b"a": 1}, "of_t": {"a": 1}, "set_b": {b"a"}, "set_t": frozenset({"a"})}
for left in names:
    for right in [*names, "(b'a', t)", "['a', b]", "'a'", "b'a'"]:
        for sign in ("==", "!=", "<", "in"):
            try:
                compile_expression(f"{left} {sign} {right}").evaluate(names, {})
            except ExpressionFailed:
                pass
for text in ("of_b['a']", "of_t[b'a']", "of_t[b]", "t.startswith(b)", "t + b", "t * b"):
    try:
        compile_expression(text).evaluate(names, {})
    except ExpressionFailed:
        pass
"""
    subprocess.run([sys.executable, "-bb", "-W", "error", "-c", program], check=True)


class Interrupted(ValueError):
    pass


def test_what_the_program_throws_into_the_thread_is_not_kept() -> None:
    def thrown(*_: object) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        Expression("n", frozenset("n"), thrown).evaluate({"n": 1}, {})


def test_a_format_of_a_hostile_object_is_not_run() -> None:
    for spec in (">5", ".2f", "d", "s"):
        for name in THINGS:
            template = compile_template("{" + name + ":" + spec + "}")
            with contextlib.suppress(ExpressionFailed):
                template.expressions[0].evaluate(THINGS, {})
