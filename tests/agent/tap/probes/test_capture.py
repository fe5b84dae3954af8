"""Snapshots of a frame: its stack, its variables, what was asked of them, and whose work it is."""

import asyncio
import contextvars
import gc
import json
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from sonde_agent.redaction import Redaction
from sonde_agent.tap.probes import capture
from sonde_agent.tap.probes.allowance import Limits
from sonde_expressions import compile_expression
from tests.agent.tap.probes.looking import PLENTY, Foreseen, alive, canary_of, touched

request = contextvars.ContextVar[str]("request")
secret = contextvars.ContextVar[str]("secret_of_request")
unknown = contextvars.ContextVar[object]("unknown")


class Asked:
    """An expression that is a function of the variables."""

    def __init__(self, text: str, answer: Callable[[dict[str, Any]], object]) -> None:
        self.text = text
        self.names = frozenset(text.split("."))
        self._answer = answer

    def evaluate(self, frame_locals: dict[str, Any], frame_globals: dict[str, Any]) -> object:
        assert frame_globals is globals()
        return self._answer(frame_locals)


class ExpressionFailed(Exception):
    pass


class Untold(Exception):
    def __str__(self) -> str:
        touched.append("__str__")
        return ""


def take(limits: Limits = PLENTY, **more: Any) -> dict[str, Any]:
    """Of the frame that calls."""
    taken = capture.take(sys._getframe(1), limits, more.pop("redaction", Foreseen()), **more)
    json.dumps(taken, allow_nan=False).encode("ascii")
    return taken


def variables(taken: dict[str, Any], frame: int = 0) -> dict[str, Any]:
    return dict(taken["frames"][frame]["locals"])


def test_a_snapshot_shows_the_stack_and_the_variables_of_its_innermost_frames() -> None:
    def inner(depth: int) -> dict[str, Any]:
        if depth:
            return inner(depth - 1)
        total = 5
        secret = total  # noqa: F841 - it is looked at from outside
        return take(Limits(seconds=30.0, frames=3, frames_with_locals=2))

    taken = inner(3)
    first = taken["frames"][0]
    assert first["path"] == __file__
    assert first["function"].endswith("inner")
    assert first["module"] == __name__
    assert first["line"] == inner.__code__.co_firstlineno + 5
    seen = variables(taken)
    assert (seen["depth"]["value"], seen["total"]["value"]) == ("0", "5")
    assert seen["secret"] == {"type": "int", "redacted": True}
    assert ["locals" in frame for frame in taken["frames"]] == [True, True, False]
    assert taken["truncated"]
    assert taken["duration"] > 0


def test_the_line_is_where_each_frame_stands_now() -> None:
    lines = []
    for _ in range(2):
        lines.append(take()["frames"][0]["line"])
        lines.append(take()["frames"][0]["line"])
    assert lines == [lines[0], lines[0] + 1] * 2


def test_unbound_variables_are_left_out_and_closures_are_shown() -> None:
    enclosed = 1

    def inner() -> dict[str, Any]:
        if enclosed > 1:
            later = 1
            assert later
        return take()

    seen = variables(inner())
    assert seen["enclosed"]["value"] == "1"
    assert "later" not in seen


def test_a_module_shows_its_names_without_the_interpreters() -> None:
    module = types.ModuleType("shop")
    module.__dict__.update(take=take, total=5)
    exec("taken = take()", module.__dict__)  # noqa: S102 - a module is what is under test
    frame = module.taken["frames"][0]
    assert frame["module"] == "shop"
    assert {name for name, _ in frame["locals"]} == {"take", "total"}


def test_a_class_body_with_a_mapping_of_its_own_is_not_asked() -> None:
    class Names(dict[str, Any]):
        def items(self) -> Any:
            raise AssertionError

    class Meta(type):
        @classmethod
        def __prepare__(cls, *_: Any, **__: Any) -> Any:
            return Names()

    class Body(metaclass=Meta):
        taken = take()

    assert Body.taken["frames"][0]["locals"] == []


def test_what_was_read_is_let_go_of() -> None:
    class Large:
        pass

    def work() -> Any:
        large = Large()
        reference = weakref.ref(large)
        assert "large" in variables(take(expressions=[Asked("large", lambda names: names["large"])]))
        del large
        gc.collect()
        return reference()

    assert work() is None


def test_a_dictionary_that_the_program_has_from_locals_keeps_its_names() -> None:
    kept = 5
    own = locals()
    take()
    assert own["kept"] == kept


def test_expressions_are_answered_or_say_why_not() -> None:
    total = 5

    def fail(error: Exception) -> Callable[[dict[str, Any]], object]:
        def answer(_: dict[str, Any]) -> object:
            raise error

        return answer

    taken = take(
        expressions=[
            Asked("total", lambda names: names["total"] + 1),
            Asked("order.secret", lambda _: "x"),
            Asked("missing", fail(ExpressionFailed("there is no name 'missing' here"))),
            Asked("broken", fail(Untold("hunter2"))),
        ]
    )
    answers = taken["expressions"]
    assert answers[0] == {"text": "total", "node": {"type": "int", "value": str(total + 1)}}
    assert answers[1] == {"text": "order.secret", "node": {"type": "str", "redacted": True}}
    assert answers[2] == {"text": "missing", "error": "there is no name 'missing' here"}
    assert answers[3] == {"text": "broken", "error": "Untold: ***"}
    strict = take(redaction=Foreseen(False), expressions=[Asked("broken", fail(KeyError("canary")))])
    assert strict["expressions"] == [{"text": "broken", "error": "KeyError"}]
    assert not touched


def test_the_thread_is_told_by_the_name_it_has_and_not_by_its_methods() -> None:
    class Worker(threading.Thread):
        name = property(lambda _: touched.append("name"))

        def run(self) -> None:
            taken.append(take())

    taken: list[dict[str, Any]] = []
    worker = Worker()
    worker._name = "worker 7"  # type: ignore[attr-defined]
    worker.start()
    worker.join()
    touched.clear()
    assert taken[0]["thread"] == {"id": worker.ident, "name": "worker 7"}
    assert "task" not in taken[0]


async def test_the_task_and_its_context_are_told() -> None:
    async def work() -> dict[str, Any]:
        request.set("r-17")
        secret.set("x")
        unknown.set(alive(canary_of()))
        return take()

    taken = await asyncio.create_task(work(), name="work of r-17")
    assert taken["task"]["name"] == "work of r-17"
    assert taken["task"]["coroutine"].endswith("work")
    assert taken["context"]["request"] == {"type": "str", "value": "'r-17'"}
    assert taken["context"]["secret_of_request"] == {"type": "str", "redacted": True}
    assert "unknown" not in taken["context"]
    assert not touched


def test_a_callback_of_a_loop_is_no_task() -> None:
    taken: list[dict[str, Any]] = []

    def look(done: asyncio.Future[None]) -> None:
        taken.append(take())
        done.set_result(None)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(look, done)
        await done

    asyncio.run(main())
    assert "task" not in taken[0]


def test_the_current_span_of_opentelemetry_is_told() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    context = trace.SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(context)):
        taken = take()
    assert taken["context"]["trace_id"]["value"] == repr(f"{0xABC:032x}")
    assert taken["context"]["span_id"]["value"] == repr(f"{0xDEF:016x}")


def test_a_frame_with_too_many_variables_or_bytes_is_cut() -> None:
    module = types.ModuleType("shop")
    module.__dict__.update({f"n{number}": number for number in range(300)}, take=take)
    exec("taken = take()", module.__dict__)  # noqa: S102 - a module is what is under test
    frame = module.taken["frames"][0]
    assert (len(frame["locals"]), frame["cut"]) == (100, "items")
    long = ["x" * 200] * 50
    assert take(Limits(bytes=3000, seconds=30.0))["frames"][0]["cut"] == "bytes"
    assert len(json.dumps(take(Limits(bytes=3000, seconds=30.0, frames=1)))) < 3000 + 255 * 12
    assert long


def test_a_trace_function_keeps_its_variables() -> None:
    """Until 3.12 the interpreter takes what is missing from them for deleted when a trace function returns."""
    seen: list[dict[str, Any]] = []
    frames: list[types.FrameType] = []

    def trace(frame: types.FrameType, event: str, _: object) -> Any:
        if (
            event == "line"
            and frame.f_code is traced.__code__
            and frame.f_lineno > frame.f_code.co_firstlineno + 1
        ):
            frames.append(frame)
            seen.append(capture.take(frame, PLENTY, Foreseen()))
        return trace

    def traced() -> int:
        total = 5
        total += 1
        return total

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert traced() == 6
    finally:
        sys.settrace(before)
        frames.clear()
    assert seen


def test_the_real_redaction_and_expressions_fit() -> None:
    password = "hunter2"
    card = 4111_1111_1111_1111
    assert password, card
    taken = take(
        redaction=Redaction(),
        expressions=[compile_expression("password"), compile_expression("missing.name")],
    )
    seen = variables(taken)
    assert seen["password"] == taken["expressions"][0]["node"] == {"type": "str", "redacted": True}
    assert "4111" not in seen["card"]["value"]
    assert taken["expressions"][1]["error"]
    assert "node" not in taken["expressions"][1]
