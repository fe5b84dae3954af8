"""What pydevd says, without what must not leave the process. Pure: a message in, a message out.

    asked     whether the answer is hidden whole: the expression names something hidden, or the reference is of a
              hidden value; a log message loses the expressions that name something hidden before pydevd gets it
    answered  variables by name, type and text; results and errors by text; the text of an exception
    told      output, and why a thread has stopped

A hidden value has no children: its reference becomes 0, and is remembered until nothing stands any more, so that who
guesses it gets nothing. An object that is also reachable by a name that is shown can be looked into. Who may evaluate
runs code in the process and can have anything out of it: what is hidden of evaluations is what would come by
accident. See docs/redaction.md.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from sonde_agent.redaction import HIDDEN, Redaction
from sonde_agent.sidecar.dap.channel import Incoming, body_of
from sonde_wire import codec

MOST_REMEMBERED = 100_000
"""References; the oldest are forgotten."""

_RESULTS = {"evaluate": "result", "setVariable": "value", "setExpression": "value"}
"""Requests that are answered with a value, and where it is."""
_SAYS_NOTHING = frozenset({"NoneType", "bool"})
_CODE = frozenset(
    {"builtin_function_or_method", "classmethod", "function", "method", "module", "property", "type"}
)
"""Types whose values say nothing secret whatever the name: `get_password` is a function."""
_TEXTS = frozenset({"str", "bytes", "bytearray"})
_URLS = frozenset({"url", "parseresult", "splitresult", "multihosturl", "dsn"})
"""Ends of types whose values have the password of a URL again, as an attribute or an item without a name."""
_LENGTH = "len()"
_GROUPS = frozenset({"special variables", "function variables", "class variables", "protected variables"})
_WORD = re.compile(r"[^\W\d]\w*")
_KEY = re.compile(r"(?P<quoted>[bBuU]{0,2}['\"].*)", re.DOTALL)
_CODES_OWN = re.compile(r"(?:\(return\) )?[^\W\d][\w.]*|\d+|\[?\d+:\d+\]?|len\(\)|\w+ variables")
"""Names that a program's text has, or a place in a list; others are keys, which are values."""
_OF_TWO = re.compile(r" \(\d+\)$")
"""What pydevd puts behind one of two names that look the same."""


class Redacting:
    """For one process. `forget` when nothing stands."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._hidden: dict[int, None] = {}

    def forget(self) -> None:
        self._hidden.clear()

    # What is asked ----------------------------------------------------------------------------------------------

    def hides(self, request: str, arguments: Mapping[str, Any]) -> bool:
        """Whether the whole answer is hidden."""
        reference = arguments.get("variablesReference")
        if isinstance(reference, int) and reference in self._hidden:
            return True
        name = arguments.get("name") if request == "setVariable" else None
        expression = arguments.get("expression") if request in _RESULTS else None
        return any(self._names_hidden(each) for each in (name, expression) if isinstance(each, str))

    def arguments(self, request: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """As pydevd is to get them."""
        listed = (
            arguments.get("breakpoints") if request in {"setBreakpoints", "setFunctionBreakpoints"} else None
        )
        if not isinstance(listed, list):
            return arguments
        return {**arguments, "breakpoints": [self._breakpoint(each) for each in listed]}

    def _breakpoint(self, body: Any) -> Any:
        message = body.get("logMessage") if isinstance(body, dict) else None
        if not isinstance(message, str):
            return body
        return {**body, "logMessage": "".join(self._of_message(message))}

    def _of_message(self, message: str) -> Iterator[str]:
        depth = start = 0
        for at, letter in enumerate(message):
            if letter == "{":
                if not depth:
                    yield message[start:at]
                    start = at
                depth += 1
            elif letter == "}" and depth:
                depth -= 1
                if not depth:
                    yield HIDDEN if self._names_hidden(message[start:at]) else message[start : at + 1]
                    start = at + 1
        yield message[start:]

    def _names_hidden(self, expression: str) -> bool:
        return any(self._redaction.hides_name(word) for word in set(_WORD.findall(expression)))

    # What is answered -------------------------------------------------------------------------------------------

    def response(self, request: str, response: Incoming, *, hides: bool) -> Incoming:
        """`hides` is what was said of the request. Raises `sonde_wire.MalformedMessage`."""
        if self._redaction.mode == "off":
            return response
        if not response.success:
            return replace(response, message=self._error(request, response.message, hides), body=UNSET)
        body = body_of(response) if request in _ANSWERS else None
        if not body:
            return response
        match request:
            case "variables":
                listed = body.get("variables")
                body["variables"] = self._variables(listed if isinstance(listed, list) else [], hides)
            case "exceptionInfo":
                self._exception(body)
            case "threads":
                listed = body.get("threads")
                body["threads"] = self.threads(listed if isinstance(listed, list) else [])
            case _:
                self._value(body, _RESULTS[request], hides)
        return replace(response, body=codec.raw(body))

    def _error(self, request: str, message: str | None, hides: bool) -> str | None:
        if message is None:
            return None
        if hides:
            return "it failed; why is hidden, because it names something whose value is hidden"
        if request in _RESULTS and not self._redaction.shows_values:
            return f"it failed; why is hidden: {_size(message)}"
        return self._redaction.text(message)

    def _variables(self, variables: list[Any], hides: bool) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        follows = False
        for each in variables:
            if not isinstance(each, dict) or not isinstance(each.get("name"), str):
                continue
            name = _bare(each["name"])
            is_item = name.isdecimal()
            self._variable(each, name, hides or (follows and is_item))
            # ('Authorization', 'Bearer ...'), and ['--token', '...']
            value = each.get("value")
            follows = is_item and isinstance(value, str) and self._is_hidden_key(value)
            shown.append(each)
        return shown

    def _is_hidden_key(self, value: str) -> bool:
        return (
            len(value) < 100
            and _KEY.fullmatch(value) is not None
            and self._redaction.hides_name(_bare(value))
        )

    def _variable(self, body: dict[str, Any], name: str, hides: bool) -> None:
        """`hides` whatever the name is."""
        kind = str(body.get("type", ""))
        if body["name"] in _GROUPS and not kind and not hides:
            return
        named = kind not in _CODE and kind not in _SAYS_NOTHING and self._redaction.hides_name(name)
        clean = self._redaction.text(body["name"])
        if not self._redaction.shows_values and not _CODES_OWN.fullmatch(clean):
            clean = "<key>"
        if clean != body["name"]:
            body["name"] = clean
            body.pop("evaluateName", None)
        self._value(body, "value", hides or named, is_size=name == _LENGTH)
        if body.get("value") == HIDDEN or self._tells(body.get("evaluateName")):
            body.pop("evaluateName", None)

    def _tells(self, expression: Any) -> bool:
        if not isinstance(expression, str):
            return False
        if not self._redaction.shows_values and ("'" in expression or '"' in expression):
            return True
        return self._redaction.text(expression) != expression

    def _value(self, body: dict[str, Any], key: str, hides: bool, *, is_size: bool = False) -> None:
        """The value in `body[key]`, with its type and what it leads to."""
        text, kind, reference = body.get(key), str(body.get("type", "")), body.get("variablesReference")
        if not isinstance(text, str):
            return
        if (hides and (text or reference)) or self._redaction.hides_type(kind):
            body[key] = HIDDEN
        elif not self._redaction.shows_values and not is_size and kind not in _CODE and (text or kind):
            body[key] = _shape(kind, text)
        else:
            body[key] = self._redaction.text(text)
        is_url = kind.lower().endswith(tuple(_URLS)) and (body[key] != text or "@" in text)
        if body[key] == HIDDEN or is_url:
            self._remember(reference)
            for leading in ("variablesReference", "namedVariables", "indexedVariables"):
                if leading in body:
                    body[leading] = 0
            body.pop("memoryReference", None)
        elif isinstance(reference, int):
            self._hidden.pop(reference, None)

    def _remember(self, reference: Any) -> None:
        if isinstance(reference, int) and reference:
            self._hidden[reference] = None
            if len(self._hidden) > MOST_REMEMBERED:
                del self._hidden[next(iter(self._hidden))]

    def _exception(self, body: dict[str, Any]) -> None:
        self._text(body, "description")
        left = [body.get("details")]
        while left:
            details = left.pop()
            if isinstance(details, dict):
                self._text(details, "message")
                if isinstance(details.get("stackTrace"), str):
                    details["stackTrace"] = self._redaction.text(details["stackTrace"])
                inner = details.get("innerException")
                left += inner if isinstance(inner, list) else []

    def threads(self, threads: list[Any]) -> list[Any]:
        """A program can name a thread after anything."""
        for each in threads:
            if isinstance(each, dict) and isinstance(each.get("name"), str):
                each["name"] = self._redaction.text(each["name"])
        return threads

    # What is told -----------------------------------------------------------------------------------------------

    def event(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if self._redaction.mode == "off":
            return body
        if name == "output":
            body = {**body, "variablesReference": 0}
            body.pop("data", None)
            self._text(body, "output", end="\n")
        elif name == "stopped":
            body = dict(body)
            if isinstance(body.get("text"), str):
                body["text"] = self._redaction.text(body["text"])
            if body.get("reason") == "exception":
                self._text(body, "description")
        return body

    def _text(self, body: dict[str, Any], key: str, end: str = "") -> None:
        text = body.get(key)
        if isinstance(text, str) and text:
            shown = self._redaction.shows_values
            body[key] = self._redaction.text(text) if shown else f"<{_size(text)}>{end}"


_ANSWERS = frozenset({*_RESULTS, "variables", "exceptionInfo", "threads"})


def _bare(name: str) -> str:
    """`'password'` and `(return) password` go under the name `password`."""
    return (
        _OF_TWO.sub("", name.removeprefix("(return) "))
        .lstrip("bBuU" if name[1:2] in {"'", '"'} else "")
        .strip("'\"")
    )


def _shape(kind: str, text: str) -> str:
    return f"<{kind}, {_size(text)}>" if kind in _TEXTS else f"<{kind}>"


def _size(text: str) -> str:
    return f"{len(text)} characters"
