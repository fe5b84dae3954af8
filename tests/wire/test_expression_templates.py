"""The texts of log probes."""

import decimal
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_expressions import ExpressionFailed, InvalidExpression, compile_template, limits

NAMES: dict[str, Any] = {
    "n": 7,
    "x": 2.5,
    "s": "abc",
    "price": decimal.Decimal("9.999"),
    "d": {"}": 1, "k:": [1, 2, 3]},
    "obj": object(),
}

DECIMALS = {"price": decimal.Decimal("1e1000000"), "digits": decimal.Decimal("1" * 5000 + "e-4999")}


def rendered(text: str) -> str:
    template = compile_template(text)
    return template.render([str(each.evaluate(NAMES, {})) for each in template.expressions])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("n={n} x={x}", "n=7 x=2.5"),
        ("{{n}} {n}}}", "{n} 7}"),
        ("{{{n}}}", "{7}"),
        ("{n:>5}|{n:<5}|{n:^5}|{s:*>5}", "    7|7    |  7  |**abc"),
        ("{x:.2f} {n:05d} {n:+} {n:x} {n:#x} {x:8.1f}|{s:.2}", "2.50 00007 +7 7 0x7      2.5|ab"),
        ("{d['}']} {d['k:'][0:2]} {n != 7} {n == 7}", "1 [1, 2] False True"),
        ("{ n + 1 }{price:>6.2f}", "8 10.00"),
        ("{n if n > 3 else x:>3}", "  7"),
        ("{(n):>3}{1000000:,}", "  71,000,000"),
    ],
)
def test_a_log_text_is_filled_in(text: str, expected: str) -> None:
    assert rendered(text) == expected


def test_a_width_pads_whatever_the_value_is_shown_as() -> None:
    template = compile_template("[{obj:>8}] [{obj:^8}] [{obj:8}]")
    assert [each.evaluate(NAMES, {}) for each in template.expressions] == [NAMES["obj"]] * 3
    assert template.render(["<obj>"] * 3) == "[   <obj>] [ <obj>  ] [<obj>   ]"


def test_a_log_text_knows_its_names() -> None:
    template = compile_template("{a.b:>4} {c['d']}")
    assert [each.names for each in template.expressions] == [{"a", "b"}, {"c", "d"}]
    assert [each.text for each in template.expressions] == ["a.b", "c['d']"]


def test_one_text_for_each_expression_is_wanted() -> None:
    with pytest.raises(ValueError, match="zip"):
        compile_template("{n}").render([])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a {n", "{n"),
        ("a } b", "}"),
        ("{}", ""),
        ("{n!r}", "!r"),
        ("{n:{x}}", "{x"),
        ("{n:>9999}", ">9999"),
        ("{n:.200f}", ".200f"),
        ("{n:>300}", ">300"),
        ("{n:n}", "n"),
        ("{n:%Y}", "%Y"),
        ("{n:.}", "."),
        ("{n:zz}", "zz"),
        ("ok {f(n)}", "f"),
        ("{{{n.__class__}}}", "__class__"),
        ("{n} {'abc}", "{'abc}"),
        ("{lambda: 1}", "lambda"),
    ],
)
def test_a_log_text_is_refused_at_its_place(text: str, part: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        compile_template(text)
    refused = caught.value
    assert (refused.text, text[refused.position : refused.position + refused.length]) == (text, part)


def test_a_log_text_has_its_limits() -> None:
    compile_template("{n}" * limits.EXPRESSIONS)
    compile_template("x" * limits.TEXT)
    for too_much in ("{n}" * (limits.EXPRESSIONS + 1), "x" * (limits.TEXT + 1)):
        with pytest.raises(InvalidExpression):
            compile_template(too_much)


@pytest.mark.parametrize(
    "text", ["{s:.2f}", "{obj:.2f}", "{n:s}", "{x:d}", "{s:=5}", "{huge:x}", "{price:f}", "{digits:f}"]
)
def test_a_format_that_does_not_fit_fails_with_a_sentence(text: str) -> None:
    if text == "{s:=5}":
        with pytest.raises(InvalidExpression):
            compile_template(text)
        return
    expression = compile_template(text).expressions[0]
    with pytest.raises(ExpressionFailed):
        expression.evaluate({**NAMES, "huge": 1 << 5000, **DECIMALS}, {})


@given(
    st.text(string.ascii_letters + " {}", max_size=20),
    st.sampled_from(["", ">6", "<6", "^7", "06d", "x", ".3f", "*^9", "+,d"]),
)
def test_it_reads_as_python_reads_it(around: str, spec: str) -> None:
    escaped = around.replace("{", "{{").replace("}", "}}")
    text = f"{escaped}{{n:{spec}}}{escaped}" if spec else f"{escaped}{{n}}{escaped}"
    assert rendered(text) == text.format(n=7)
