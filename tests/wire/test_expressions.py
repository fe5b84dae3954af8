"""The language of probes: what it offers means what Python means by it, and each limit is kept at its edge."""

import collections
import decimal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

import sonde_expressions
from sonde_expressions import ExpressionFailed, InvalidExpression, compile_expression, limits

NAMES: dict[str, Any] = {
    "n": 7,
    "ratio": 0.25,
    "text": "Hello World",
    "raw": b"abc",
    "yes": True,
    "nothing": None,
    "items": [3, 1, 2],
    "pair": (1, "one"),
    "key": "a",
    "table": {"a": 1, "b": {"c": [10, 20]}, 3: "three"},
    "seen": {1, 2, "x"},
    "span": range(0, 100, 5),
    "queue": collections.deque([1, 2]),
}

AS_IN_PYTHON = """
n > 5|n >= 7|n < 7|n <= 6|n == 7|n != 7|1 < n < 10|1 < n > 3 == 3|n == 7.0|yes == 1|not n|not not n
n + 1|n - 10|n * 3|n / 2|n // 2|n % 4|n ** 2|-n|+n|-n ** 2|2 ** -1|2 ** 3 ** 2|-2 ** 2|(1 + 2) * 3|n - 1 - 1|n / 2 / 2
n % 4 * 2|ratio * 4|1e3|1_000|0x1f|0b11|0o17|.5|1.|1.5e-3|text + "!"|text * 2|2 * text|"a" < "b"|"a" == "a"
text == "Hello World"|'Hello' in text|'x' not in text|text[0]|text[-1]|text[:5]|text[-5:]|text[1:-1]|text[:]
"tab\\t\\x41\\u00e9"|r"\\d"|b"\\x00a"|raw == b"abc"|raw[0]|97 in raw|raw == "abc"|u"x"
items[0]|items[-1]|items[1:]|items == [3, 1, 2]|items != [3]|items < [3, 2]|3 in items|9 not in items|len(items)
pair == (1, "one")|pair[1]|(1,) == (1,)|()|[]|[1, 2]|(n, text)|table["a"]|table[key]|table[3]|table["b"]["c"][1]
"a" in table|"z" in table|1 in seen|9 in seen|"x" in seen|10 in span|11 in span|len(span)|span[2]|2 in queue|queue[0]
items == (3, 1, 2)|nothing is None|n is not None|None is nothing|yes is True|items[n - 6]|items[pair[0]]
nothing == None|nothing == 0|table["b"] == table["b"]|len(text)|abs(-n)|min(n, 3)|max(n, 3, 9)|round(2.675, 2)|round(n)
round(1234, -2)|text.lower()|text.upper()|text.startswith("He")|text.startswith(("x", "He"))|text.endswith("d")
" x ".strip()|"xx1".lstrip("x")|"1xx".rstrip("x")|text.split()|text.split("o")|text.find("W")|text.count("l")|"a1".isalnum()
"12".isdigit()|"a".isalpha()|" ".isspace()|"A".isupper()|"a".islower()|text.removeprefix("Hello ")|text.removesuffix("ld")
n if yes else text|n if nothing else text|1 if 0 else 2 if 0 else 3|n and text|nothing or n|nothing and n|0 or "" or None
n > 5 and text or nothing|not n == 7|n in (1, 7)|n not in (1, 'a')|yes in (1, 2)|nothing in ('a', 2)|raw in ['a']|n in [1, 2]|(n)|((n)) + 1|items and items[0] > 2|[] or "empty"|not []
n == 7 and (text == "x" or n != 3)|isinstance(n, int)|isinstance(yes, int)|isinstance(n, (str, bytes))|"é" in "café"
""".strip()
EXAMPLES = [each for line in AS_IN_PYTHON.splitlines() for each in line.split("|")]


def value(text: str, names: Mapping[str, Any] | None = None) -> Any:
    return compile_expression(text).evaluate(NAMES if names is None else names, {})


def refusal(text: str) -> InvalidExpression:
    with pytest.raises(InvalidExpression) as caught:
        compile_expression(text)
    return caught.value


@pytest.mark.parametrize("text", EXAMPLES)
def test_what_is_offered_means_what_it_means_in_python(text: str) -> None:
    expected = eval(text, {}, dict(NAMES))  # noqa: S307 - our own examples
    found = value(text)
    assert (type(found), found) == (type(expected), expected)


def test_a_name_is_a_local_one_or_else_one_of_the_module() -> None:
    expression = compile_expression("n")
    assert expression.evaluate({"n": 1}, {"n": 2}) == 1
    assert expression.evaluate({}, {"n": 2}) == 2
    assert compile_expression("n > 1").evaluate({}, {"n": 2}) is True
    assert compile_expression("n > 1").evaluate({"n": 1}, {"n": 2}) is False


@pytest.mark.parametrize("text", ["print", "print > 1", "print == 'a'", "n and print", "len(print)"])
def test_a_name_that_is_not_there_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(ExpressionFailed, match="there is no name 'print' here"):
        value(text)


def test_the_names_of_a_real_frame_are_read() -> None:
    def frame(n: int) -> tuple[Any, Any]:
        here = sys._getframe()
        assert n
        return here.f_locals, here.f_globals

    local, module = frame(200)
    assert compile_expression("n > 100 and NAMES['n'] == 7").holds(local, module)


def test_an_expression_knows_every_name_that_redaction_looks_at() -> None:
    text = "user.card['number'] == other[key][b'pin'] and len(rows[0].secret) > 1 and 'no' in notes and isinstance(x, Order)"
    expected = {"user", "card", "number", "other", "key", "pin", "rows", "secret", "notes", "x"}
    assert compile_expression(text).names == expected


def test_an_expression_keeps_its_text() -> None:
    assert compile_expression(" n > 1 \n").text == "n > 1"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("print(n)", "print"),
        ("n > 1 and os.system('x')", "os.system"),
        ("(lambda: 1)()", "lambda"),
        ("[x for x in items]", "for"),
        ("(x for x in items)", "for"),
        ("{x: 1}", "{"),
        ("{1, 2}", "{"),
        ("f'{n}'", "f'"),
        ("rf'{n}'", "rf'"),
        ("(y := 1)", ":="),
        ("n = 1", "="),
        ("await n", "await"),
        ("(yield n)", "yield"),
        ("[*items]", "*"),
        ("max(*items)", "*"),
        ("max(**table)", "**"),
        ("round(n, ndigits=1)", "ndigits"),
        ("n.__class__", "__class__"),
        ("__builtins__", "__builtins__"),
        ("n._x.__dict__['a']", "__dict__"),
        ("n.__private", "__private"),
        ("items[::2]", ":"),
        ("items[:n]", "n"),
        ("items[0, 1]", ","),
        ("items[]", "[]"),
        ("table['pass' + 'word']", "'pass' + 'word'"),
        ("table[text.lower()]", "text.lower()"),
        ("table[len(text)]", "len(text)"),
        ("table.get('a')", "table.get"),
        ("text.format(n)", "text.format"),
        ("text.join(items)", "text.join"),
        ("text.lower(1)", "lower"),
        ("len()", "len"),
        ("n & 1", "&"),
        ("n | 1", "|"),
        ("~n", "~"),
        ("n << 3", "<<"),
        ("n @ n", "@"),
        ("n && n", "&&"),
        ("!n", "!"),
        ("n <> 1", "<>"),
        ("n is 7", "is"),
        ("n is not text", "is"),
        ("n ? 1 : 2", "?"),
        ("n; n", ";"),
        ("n, n", ","),
        ("import os", "import"),
        ("while True", "while"),
        ("...", "..."),
        ("n +", ""),
        ("", ""),
        ("(n", "("),
        ("n)", ")"),
        ("n n", "n"),
        ("'a' 'b'", "'b'"),
        ("'abc", "'abc"),
        ("'''abc'''", "'''"),
        ("'\\N{BULLET}'", "\\N"),
        ("'\\ud800'", "\\ud800"),
        ("b'é'", "b'é'"),
        ("x'a'", "x"),
        ("0777", "0777"),
        ("1__0", "1__0"),
        ("1j", "1j"),
        ("7up", "7up"),
        ("n\x00", "\x00"),
        ("n # 1", "#"),
        ("n \\ 1", "\\"),
        ("n\n> 1", "\n"),
        ("isinstance(n, 1)", "1"),
        ("isinstance(n, type(n))", "type(n)"),
        ("n.True", "True"),
        ("a == not b", "not"),
        ("n not 1", "1"),
        ("1 if n", ""),
        ("n.1", ".1"),
        ("`n`", "`"),
        ("$n", "$"),
    ],
)
def test_what_is_not_offered_is_refused_at_its_place(text: str, part: str) -> None:
    refused = refusal(text)
    assert refused.text[refused.position : refused.position + refused.length] == part
    assert refused.text == text
    assert len(refused.message) > 15


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("n = 1", "=="),
        ("n.__class__", r"type\(x\)"),
        ("n & 1", "`and`"),
        ("{1, 2}", "tuple"),
        ("[x for x in items]", "`in`"),
        ("table.get('a')", "startswith"),
        ("items[::2]", r"text\[:20\]"),
    ],
)
def test_a_refusal_says_what_to_write_instead(text: str, instead: str) -> None:
    with pytest.raises(InvalidExpression, match=instead):
        compile_expression(text)


@pytest.mark.parametrize(
    ("fits", "too_much"),
    [
        ("n" + " " * (limits.TEXT - 1), "n" + " " * limits.TEXT),
        ("(" * 49 + "n" + ")" * 49, "(" * 50 + "n" + ")" * 50),
        ("+".join("n" * 50), "+".join("n" * 51)),
        ("- " * 49 + "n", "- " * 50 + "n"),
        ("n" + ".a" * 49, "n" + ".a" * 50),
        (" and ".join("n" * 199), " and ".join("n" * 200)),
        ("[" + "n," * 20 + "]", "[" + "n," * 21 + "]"),
        ("max(" + "n," * 20 + ")", "max(" + "n," * 21 + ")"),
        ("9" * 300, "9" * 301),
        ("0x" + "f" * 298, "0x" + "f" * 299),
    ],
)
def test_an_expression_of_the_largest_size_is_read_and_a_larger_one_refused(fits: str, too_much: str) -> None:
    compile_expression(fits)
    refusal(too_much)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "(" * 2000 + "1" + ")" * 2000,
        "[" * 5000,
        "-" * 4000 + "1",
        "not " * 1000 + "n",
        "1" + "**1" * 1000,
        "n" + "[0]" * 1000,
        "n if n else " * 300 + "n",
        "a" * 200_000,
        "1" * 4000,
        "\x00" * 100,
        "max(" * 1000,
        "'" + "\\" * 4000,
        "\ud800",
        "'\ud800'",
    ],
)
def test_a_hostile_text_is_refused_before_it_costs_anything(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "10 ** 10 ** 8",
        "10 ** 10000000000",
        "2 ** 4096",
        "(2 ** 4000) * (2 ** 4000)",
        "huge + 1",
        "-huge",
        "'x' * 10 ** 9",
        "text * 1000000000",
        "long + long",
        "long.lower()",
        "'%s' % n",
        "'%1000000000d' % n",
        "round(n, -10 ** 9)",
        "round(n, 10 ** 9)",
        "2.0 ** 10000",
        "(-8) ** 0.5",
        "n / 0",
        "n % 0",
        "n // 0.0",
        "0 ** -1",
        "many[:2000]",
        "long[:70000]",
        "'no' in enormous",
        "-1 in many",
        "many == others",
        "enormous == another",
        "long.split('x')",
        "enormous.count('y')",
        "'x' in keys",
        "keys['x']",
        "nested == nested_too",
        "items[10 ** 30]",
        "items[5]",
        "table['none']",
        "items['a']",
        "seen[0]",
        "n[0]",
        "n < text",
        "nothing < 1",
        "price < text",
        "len(endless)",
        "endless and 1",
        "1 in n",
        "1 in text",
        "n in 7 if n else 0",
        "len(n)",
        "abs(text)",
        "min(n, text)",
        "n.lower()",
        "text.startswith(n)",
        "text.split('')",
        "text - n",
        "-text",
        "items + items",
        "items * 2",
        "table < table",
        "[1] < ['a']",
    ],
)
def test_what_has_no_value_or_is_too_large_fails_with_a_sentence(text: str, large: dict[str, Any]) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        value(text, large)
    assert len(caught.value.message) > 15


@pytest.fixture(scope="module")
def large() -> Iterator[dict[str, Any]]:
    many = list(range(20_000))
    nested: Any = []
    nested_too: Any = []
    for _ in range(100_000):
        nested, nested_too = [nested], [nested_too]
    enormous = "x" * 20_000_000
    yield {
        **NAMES,
        "huge": 1 << 5000,
        "price": decimal.Decimal(1),
        "endless": range(10**30),
        "long": "x" * 70_000,
        "many": many,
        "others": list(many),
        "enormous": enormous,
        "another": "x" * 19_999_999 + "y",
        "keys": dict.fromkeys(many),
        "nested": nested,
        "nested_too": nested_too,
    }
    while nested:  # a list of 100,000 levels cannot be freed at once on every interpreter
        nested, nested_too = nested.pop(), nested_too.pop()


@pytest.mark.parametrize("text", ["table['none']", "pair[1] < n", "items[77]", "text.startswith(n)"])
def test_a_failure_carries_no_value_of_the_program(text: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        value(text)
    assert "one" not in caught.value.message.replace("none", "")
    assert caught.value.__cause__ is None


def test_one_evaluation_has_one_allowance_for_all_its_parts() -> None:
    names = {"many": list(range(6000))}
    assert value("-1 in many", names) is False
    with pytest.raises(ExpressionFailed, match="10,000"):
        value("-1 in many or -2 in many", names)
    assert value("-1 in many", names) is False


def test_near_the_recursion_limit_an_expression_fails_and_the_program_goes_on() -> None:
    expression = compile_expression("(" * 40 + "n" + " + 1)" * 40 + " > 3")

    def down() -> bool:
        try:
            return down()
        except RecursionError:
            try:
                return expression.holds({"n": 1}, {})
            except ExpressionFailed as failed:
                return "recursion" in failed.message

    assert down()


def test_a_message_points_at_the_part() -> None:
    assert str(refusal("n > 1 and f(2)")).startswith("at 11, 'f': ")


class Point(NamedTuple):
    x: int
    y: int


class Slots:
    __slots__ = ("filled", "unfilled")

    def __init__(self) -> None:
        self.filled = 3


class Order:
    RATE = 0.19

    def __init__(self) -> None:
        self.total = 120
        self.slots = Slots()

    @property
    def net(self) -> int:
        raise AssertionError

    def method(self) -> None:
        raise AssertionError


class Special(Order):
    pass


ORDER: dict[str, Any] = {
    "order": Special(),
    "kind": Order,
    "point": Point(1, 2),
    "error": KeyError("a"),
    "module": decimal,
    "price": decimal.Decimal("9.99"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order.total", 120),
        ("order.slots.filled", 3),
        ("order.RATE", 0.19),
        ("kind.RATE", 0.19),
        ("point.y", 2),
        ("point == (1, 2)", True),
        ("error.args[0]", "a"),
        ("module.ROUND_UP", "ROUND_UP"),
        ("price == 'a' or price == None or price in ('a', 'b')", False),
        ("price < 10 and price > 9.5 and price == price", True),
        ("type(order)", f"{__name__}.Special"),
        ("type(1) == 'int'", True),
        ("isinstance(order, Order)", True),
        (f"isinstance(order, '{__name__}.Order')", True),
        ("isinstance(order, (str, Special))", True),
        ("isinstance(order, rder)", False),
        ("isinstance(error, LookupError)", True),
        ("order is None", False),
        ("order == None", False),
        ("order == order", True),
        ("order in [1, order]", True),
        ("not order", False),
        ("order and order.total > 100", True),
    ],
)
def test_objects_are_read_where_their_values_stand(text: str, expected: object) -> None:
    assert value(text, ORDER) == expected


@pytest.mark.parametrize(
    "text",
    [
        "order.net",
        "order.method",
        "order.missing",
        "order.slots.unfilled",
        "kind.method",
        "kind.net",
        "kind.missing",
        "error.with_traceback",
        "point.count",
        "order < 1",
        "len(order)",
        "order[0]",
        "order + 1",
        "1 in order",
    ],
)
def test_what_only_code_could_tell_fails(text: str) -> None:
    with pytest.raises(ExpressionFailed):
        value(text, ORDER)


def test_importing_the_language_brings_nothing_into_the_program() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules)\n"
        "import sonde_expressions\n"
        "print(*(each for each in set(sys.modules) - before if not each.startswith('sonde_expressions')))"
    )
    folder = str(sonde_expressions.__path__[0]).removesuffix("sonde_expressions")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, folder], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"__future__", "_collections", "_operator"}


@pytest.fixture(autouse=True)
def digits_as_a_program_may_set_them() -> Iterator[None]:
    """640 is the lowest limit that the interpreter lets a program set."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)
