"""What the tap is asked besides debugging: questions of viewers, which are answered, and orders, which are not."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.errors import TapFault, TapLost
from sonde_agent.sidecar.taps import TapLine
from sonde_wire import Code, Failure, Reason, bus, codec, looking

logger = logging.getLogger(__name__)

ASK_WITHIN = 10.0
MOST_QUESTIONS = 32
ORDER_WITHIN = 2.0
MOST_ORDERS = 16
"""Under way at a time; more are dropped. There are at most two each second unless the tap does not answer."""

_QUESTIONS: dict[type[bus.Operation], tuple[str, type[msgspec.Struct]]] = {
    bus.ReadStacks: ("stacks", looking.Stacks),
    bus.ReadSource: ("source", looking.Source),
    bus.ListSources: ("sources", looking.Sources),
    bus.ReadTasks: ("tasks", looking.Tasks),
    bus.ListModules: ("modules", looking.Modules),
    bus.ReadRuntime: ("runtime", looking.Runtime),
    bus.Diagnose: ("diagnosis", looking.Diagnosis),
}


class Questions:
    """Tasks, in the group that `begin` is given: one `question` or `order` each; `end` ends them. `line` is the
    tap's as it is now, `answer` gets what came of a question."""

    def __init__(self, name: str, line: Callable[[], TapLine], answer: Callable[[e.Answer], None]) -> None:
        self._name = name
        self._line = line
        self._answer = answer
        self._questions: set[asyncio.Task[None]] = set()
        self._orders: set[asyncio.Task[None]] = set()

    def begin(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    def end(self) -> None:
        for task in (*self._questions, *self._orders):
            task.cancel()

    def ask(self, command: bus.Command, **arguments: Any) -> None:
        if len(self._questions) >= MOST_QUESTIONS:
            failure = Failure(
                code=Code.RESOURCE_EXHAUSTED, reason=Reason.TOO_MANY, message="the process is asked too much"
            )
            self._answer(e.Answer(command=command.id, failure=failure))
            return
        task = self._group.create_task(self._ask(command, arguments), name=f"question {command.id}")
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    def order(self, operation: str, **arguments: Any) -> None:
        """A tap that cannot do it, or is lost, harms nobody: what it is told only shortens what ends anyhow."""
        if len(self._orders) >= MOST_ORDERS:
            logger.debug("%s: %s was dropped", self._name, operation)
            return
        task = self._group.create_task(self._order(operation, arguments), name=f"order {operation}")
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)

    async def _ask(self, command: bus.Command, arguments: dict[str, Any]) -> None:
        operation, kind = _QUESTIONS[type(command.operation)]
        try:
            value = await self._line().call(operation, min(command.timeout, ASK_WITHIN), **arguments)
            answer = e.Answer(command=command.id, result=codec.raw(msgspec.convert(value, kind)))
        except (TapFault, TapLost) as error:
            answer = e.Answer(command=command.id, failure=error.failure)
        except (msgspec.ValidationError, ValueError, OverflowError):
            logger.error("%s answered %s with something else", self._name, operation)
            failure = Failure(
                code=Code.INTERNAL, reason=Reason.BUG, message="the process's agent gave a malformed answer"
            )
            answer = e.Answer(command=command.id, failure=failure)
        self._answer(answer)

    async def _order(self, operation: str, arguments: dict[str, Any]) -> None:
        try:
            await self._line().call(operation, ORDER_WITHIN, **arguments)
        except (TapFault, TapLost) as error:
            logger.debug("%s: %s: %s", self._name, operation, error.failure.message)
