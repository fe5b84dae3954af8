"""Texts that may be any Python: read, never run, and refused with the part that is wrong, alike on every interpreter."""

import pytest

from sonde_expressions import InvalidExpression, check_python, check_python_template


def refusal(text: str, *, template: bool = False) -> InvalidExpression:
    with pytest.raises(InvalidExpression) as caught:
        (check_python_template if template else check_python)(text)
    error = caught.value
    assert error.text == text
    assert 0 <= error.position <= error.position + error.length <= len(text)
    return error


def part(error: InvalidExpression) -> tuple[int, str]:
    return error.position, error.text[error.position : error.position + error.length]


@pytest.mark.parametrize(
    "text",
    [
        "pay()",
        " [x for x in y if x] ",
        "lambda: 1",
        "(n := 3)",
        "f'{n!r}'",
        "not " * 500 + "x",
        "open('/nowhere')",
    ],
)
def test_any_expression_passes_and_is_not_run(text: str) -> None:
    check_python(text)


@pytest.mark.parametrize(
    ("text", "position", "offending"),
    [
        ("pay(", 3, "("),
        ("a = 1", 2, "="),
        ("  a b", 4, "b"),
        ("\t[a,\n b c]", 6, "b c"),
        ("é + é é", 6, "é"),
        ("await x", 0, "await x"),
        ("import os", 0, "import"),
        ("a\0b", 0, "a\0b"),
        ("'\ud800'", 0, "'\ud800'"),
    ],
)
def test_a_refusal_points_to_the_part_that_is_wrong(text: str, position: int, offending: str) -> None:
    error = refusal(text)
    assert part(error) == (position, offending)
    assert "no Python expression" in error.message


@pytest.mark.parametrize("text", ["total >", " total >  ", "a and"])
def test_what_is_missing_is_missing_at_the_end(text: str) -> None:
    error = refusal(text)
    assert error.position == len(text.rstrip())
    assert "at its end" in str(error)


def test_nothing_is_asked_for_something() -> None:
    assert refusal(" ").message == refusal("").message == "write an expression, as in len(orders) > 100"


@pytest.mark.parametrize("text", ["(" * 2000, "f(" * 2000 + ")" * 2000, "[" * 2000 + "]" * 2000])
def test_what_is_too_deep_for_python_is_refused(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize(
    "text", ["", "plain", "{{n}} {n!r:>{width}} {n=} {d['}']} {n != 3}", "'a' \"b\" {n}\n", "{ {1: 2}[1] }"]
)
def test_a_log_text_is_what_an_f_string_takes(text: str) -> None:
    check_python_template(text)


@pytest.mark.parametrize(
    ("text", "position", "offending"),
    [
        ("n={n} {a b} é", 9, "b"),
        ("{{ {n=} {n!r} {n:>5} {pay(}", 21, "{pay(}"),
        ("{n:{width}} {1 +}", 16, ""),
        ("é {d['a'] 1} 'x' \"y\"", 10, "1"),
        ("n={n", 2, "{n"),
        ("{}", 1, ""),
        ("{n!x}", 0, "{n!x}"),
        ("}", 0, "}"),
    ],
)
def test_a_refusal_of_a_log_text_points_into_its_braces(text: str, position: int, offending: str) -> None:
    assert part(refusal(text, template=True)) == (position, offending)
