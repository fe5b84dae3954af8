"""pydevd's evaluations, made answerable: each request that runs code of the program is registered while it runs,
can be ended, and is answered whatever becomes of it.

`InternalThreadCommand.do_it` is the one gate: pydevd hands a request over to a thread (one that stands, or its
own for requests without a frame) and runs it there with this. What happens behind the gate:
- whatever gets out (SystemExit, an interruption) becomes a failed response: pydevd would swallow it and never
  answer;
- whatever pydevd makes of an interruption on its way (it catches much) becomes one too;
- nothing interrupts it while it writes or changes what is the whole process's (standard output, warning filters):
  a lock would be left locked;
- texts are bounded: a reply over 16 MiB ends the connection.

Conditions and log messages of breakpoints, and the text of an exception at which a thread stops, go through the
same: what they raise would go on into the program.
"""

import builtins
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from types import SimpleNamespace
from typing import Any

from sonde_agent.tap.conditions import Conditions
from sonde_agent.tap.interruption import Evaluation, Evaluations, InterruptedLoop
from sonde_agent.tap.pydevd import Pydevd

LONGEST_TEXT = 1024 * 1024
"""Characters of one value."""
_LONGEST_ITEM = 16 * 1024
"""Characters of one value within another."""
_LARGEST_ANSWER = 8 * 1024 * 1024
_CUT = "... (cut)"
_STREAMS_KEPT = 64
_LIMITS = {
    "maxstring_outer": LONGEST_TEXT,
    "maxother_outer": LONGEST_TEXT,
    "maxstring_inner": _LONGEST_ITEM,
    "maxother_inner": _LONGEST_ITEM,
}
_IN_C = "it does not end when told to: it is in code that cannot be interrupted, such as a sleep. The thread goes on when that returns"


class Evaluating:
    """The wrappers, to be put in the place of pydevd's own by `mends`."""

    def __init__(self, pydevd: Pydevd, evaluations: Evaluations) -> None:
        self._pydevd = pydevd
        self._evaluations = evaluations
        self._do_it = pydevd.command_class.do_it
        self._add_command = pydevd.writer_class.add_command
        # without pydevd's own clock, which only warns, and whose lock an interruption could leave locked
        self._evaluate = pydevd.vars.evaluate_expression.__wrapped__
        self._conditions = Conditions(pydevd)
        self._expression = pydevd.debugger_class.handle_breakpoint_expression
        self._var_data = pydevd.variable_class.get_var_data
        self._complete = pydevd.completer.generate_completions
        self._kept: deque[tuple[Any, Any]] = deque(maxlen=_STREAMS_KEPT)

    def replacements(self) -> list[tuple[Any, str, Any]]:
        """Of what, which name, and by what."""
        pydevd = self._pydevd
        redirect = pydevd.io.redirect_stream_to_pydb_io_messages_context
        silence = pydevd.constants.filter_all_warnings
        found = [
            (pydevd.command_class, "do_it", self._gate()),
            (pydevd.writer_class, "add_command", self._writing()),
            (pydevd.vars, "evaluate_expression", self._bounded_evaluate),
            (pydevd.vars, "_EvalAwaitInNewEventLoop", self._awaiting(pydevd.vars._EvalAwaitInNewEventLoop)),
            (pydevd.io, "redirect_stream_to_pydb_io_messages_context", partial(self._redirecting, redirect)),
            (pydevd.constants, "filter_all_warnings", partial(self._whole, silence)),
            (pydevd.comm, "filter_all_warnings", partial(self._whole, silence)),
            (pydevd.debugger_class, "handle_breakpoint_condition", self._deciding()),
            (pydevd.debugger_class, "handle_breakpoint_expression", self._log_messages()),
            (pydevd.variable_class, "get_var_data", self._bounded_values()),
            (pydevd.completer, "generate_completions", self._completions),
            (pydevd.factory, "build_exception_info_response", self._described(pydevd)),
        ]
        quitter = type(getattr(builtins, "exit", None))
        if quitter.__module__ == "_sitebuiltins":
            found.append((quitter, "__call__", self._quit(quitter.__call__)))
        return found

    def give_up(self, debugger: Any, evaluation: Evaluation) -> None:
        """Answers for one that does not end."""
        if evaluation.seq is not None and evaluation.name:
            command = self._pydevd.failure(evaluation.seq, evaluation.name, _IN_C)
            self._add_command(debugger.writer, command)

    def _gate(self) -> Callable[..., None]:
        def do_it(command: Any, debugger: Any) -> None:
            request = self._pydevd.request_of(command)
            if request is None:
                self._do_it(command, debugger)
                return
            seq, name = request
            if self._evaluations.is_unwanted(seq):
                refusal = self._pydevd.failure(seq, name, "interrupted before it began")
                self._add_command(debugger.writer, refusal)
                return
            evaluation, _, failure = self._evaluations.run(lambda: self._do_it(command, debugger), seq, name)
            if not evaluation.told:
                message = evaluation.message(monotonic()) if evaluation.interrupted else failure
                refusal = self._pydevd.failure(seq, name, message or "it could not be done")
                self._add_command(debugger.writer, refusal)

        return do_it

    def _writing(self) -> Callable[[Any, Any], None]:
        def add_command(writer: Any, command: Any) -> None:
            evaluation = self._evaluations.current()
            if evaluation is None:
                self._add_command(writer, self._small_enough(command))
                return
            self._evaluations.shut(evaluation)
            answer = command.as_dict
            seq = evaluation.seq
            if seq is None or type(answer) is not dict or answer.get("request_seq") != seq:
                if answer is not None:  # else it is in another language than the sidecar's
                    self._add_command(writer, command)
                self._evaluations.reopen(evaluation)
            elif not evaluation.told:  # and nothing interrupts it any more
                evaluation.told = True
                if evaluation.interrupted:
                    command = self._pydevd.failure(
                        seq, answer.get("command", ""), evaluation.message(monotonic())
                    )
                self._add_command(writer, self._small_enough(command))

        return add_command

    def _small_enough(self, command: Any) -> Any:
        answer = command.as_dict
        if type(answer) is dict and len(command._as_bytes) > _LARGEST_ANSWER and "request_seq" in answer:
            return self._pydevd.failure(
                answer["request_seq"],
                answer.get("command", ""),
                "the answer is too large to be sent; ask for less of it",
            )
        return command

    def _whole(self, context: Callable[[], Any]) -> Any:
        evaluation = self._evaluations.current()
        return context() if evaluation is None else _Whole(self._evaluations, evaluation, context())

    def _redirecting(self, context: Callable[[], Any]) -> Any:
        """For the context `repl` pydevd puts streams of its own in the place of `sys.stdout` and `sys.stderr`. A
        `print` of another thread may be in the midst of one when it is taken away, and in many Pythons nothing but
        `sys` holds it for that thread: the process would crash. So they are kept for a while."""
        kept = self._kept

        @contextmanager
        def keeping() -> Iterator[None]:
            with context():
                kept.append((sys.stdout, sys.stderr))
                yield

        return self._whole(keeping)

    def _bounded_evaluate(self, debugger: Any, frame: Any, expression: str, is_exec: bool) -> Any:
        result = self._evaluate(debugger, frame, expression, is_exec)
        # pydevd makes text of it without a limit
        return self._text_of(result) if is_exec and result is not None else result

    def _text_of(self, value: Any) -> str:
        if type(value) in {list, tuple, dict, set, frozenset, bytes, bytearray}:
            text = self._pydevd.safe_repr()(value)
        else:
            text = value if type(value) is str else str(value)
        return _cut(text)

    def _bounded_values(self) -> Callable[..., Any]:
        def get_var_data(variable: Any, *args: Any, **options: Any) -> Any:
            limited = {
                name: min(value, _LIMITS[name]) if name in _LIMITS else value
                for name, value in options.items()
            }
            data = self._var_data(variable, *args, **limited)
            if type(data.get("value")) is str:
                data["value"] = _cut(data["value"])
            return data

        return get_var_data

    def holds(self, debugger: Any, info: Any, point: Any, frame: Any) -> bool:
        """Whether a breakpoint's condition or hit condition does. Counts the hit."""
        conditions = self._conditions
        if not conditions.runs_code(point):
            return bool(conditions.holds(debugger, info, point, frame))
        evaluation, holds, failure = self._evaluations.run(
            lambda: bool(conditions.holds(debugger, info, point, frame))
        )
        if failure:
            why = evaluation.message(monotonic()) if evaluation.interrupted else failure
            self._pydevd.warn(debugger, f"a breakpoint's condition failed: {why}: {point.condition}")
            return False
        return bool(holds)

    def _deciding(self) -> Callable[..., bool]:
        def handle_breakpoint_condition(debugger: Any, info: Any, point: Any, frame: Any) -> bool:
            return self.holds(debugger, info, point, frame)

        return handle_breakpoint_condition

    def _log_messages(self) -> Callable[..., None]:
        def handle_breakpoint_expression(debugger: Any, point: Any, info: Any, frame: Any) -> None:
            evaluation, _, failure = self._evaluations.run(
                lambda: self._expression(debugger, point, info, frame)
            )
            if failure or evaluation.interrupted:
                why = evaluation.message(monotonic()) if evaluation.interrupted else failure
                info.pydev_message = f"a breakpoint's log message failed: {why}"
            elif type(info.pydev_message) is str:
                info.pydev_message = _cut(info.pydev_message)

        return handle_breakpoint_expression

    def _described(self, pydevd: Pydevd) -> Callable[..., Any]:
        """The text of the exception at which a thread stops, which is asked for before anybody is told of it."""
        describe = pydevd.factory.build_exception_info_response

        def build_exception_info_response(*arguments: Any, **options: Any) -> Any:
            evaluation, response, failure = self._evaluations.run(lambda: describe(*arguments, **options))
            if response is None:
                why = evaluation.message(monotonic()) if evaluation.interrupted else failure
                body = SimpleNamespace(exceptionId="exception", description=f"its text cannot be had: {why}")
                return SimpleNamespace(body=body)
            return response

        return build_exception_info_response

    def _completions(self, frame: Any, text: str) -> Any:
        """pydevd prints what goes wrong here to the program's standard error."""
        evaluation = self._evaluations.current()
        if evaluation is None:
            return self._complete(frame, text)
        try:
            return self._complete(frame, text)
        except BaseException:  # noqa: BLE001 - it is the viewer's evaluation, not the program's code
            return []

    def _awaiting(self, original: Any) -> Any:
        """An `await` is evaluated in a thread and an event loop of its own, for which the stopped thread waits
        where nothing reaches it; so the other one is interrupted."""
        evaluations = self._evaluations

        class Awaiting(original):  # type: ignore[misc]
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                around = evaluations.current()
                self._seq = None if around is None else around.seq

            def _on_run(self) -> None:
                evaluations.run(super()._on_run, self._seq, error=InterruptedLoop)

            async def _async_func(self) -> Any:
                asyncio = sys.modules["asyncio"]
                loop, task = asyncio.get_running_loop(), asyncio.current_task()
                evaluation = evaluations.current()
                if evaluation is not None and task is not None:
                    evaluation.wake = partial(loop.call_soon_threadsafe, task.cancel)
                return await super()._async_func()

        return Awaiting

    def _quit(self, original: Callable[..., None]) -> Callable[..., None]:
        def quit_evaluation(quitter: Any, code: Any = None) -> None:
            """`exit()` closes standard input, and that is the program's."""
            if self._evaluations.current() is not None:
                raise SystemExit(code)
            original(quitter, code)

        return quit_evaluation


class _Whole:
    """A context whose beginning and end nothing interrupts; when even the call of its end is prevented, whoever
    runs the evaluation ends it."""

    def __init__(self, evaluations: Evaluations, evaluation: Evaluation, context: Any) -> None:
        self._evaluations = evaluations
        self._evaluation = evaluation
        self._context = context

    def __enter__(self) -> Any:
        self._evaluations.shut(self._evaluation)
        entered = self._context.__enter__()
        self._evaluation.contexts.append(self._context)
        self._evaluation.open = True
        return entered

    def __exit__(self, *error: object) -> None:
        self._evaluations.shut(self._evaluation)
        if self._evaluation.contexts and self._evaluation.contexts[-1] is self._context:
            self._evaluation.contexts.pop()
            self._context.__exit__(None, None, None)
        self._evaluation.open = not self._evaluation.told


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + _CUT
