"""What a tap is asked: how much at a time, how long, and what comes of it. The tap's line is played by hand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.errors import TapFault, TapLost
from sonde_agent.sidecar.questions import ASK_WITHIN, MOST_ORDERS, MOST_QUESTIONS, ORDER_WITHIN, Questions
from sonde_agent.sidecar.taps import TapLine
from sonde_wire import Code, Failure, Reason, bus, codec, looking
from tests.agent.sidecar.conftest import who

BUSY = Failure(code=Code.UNAVAILABLE, reason=Reason.NO_ANSWER, message="busy")


class Desk:
    """Both ends: what the tap was asked and has not answered yet, and what came of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float, dict[str, Any]]] = []
        self.answers: list[e.Answer] = []
        self._calls: list[asyncio.Future[Any]] = []
        self.questions = Questions("default/shop/a", lambda: cast(TapLine, self), self.answers.append)

    async def call(self, operation: str, within: float, **arguments: Any) -> Any:
        self.asked.append((operation, within, arguments))
        self._calls.append(asyncio.get_running_loop().create_future())
        return await self._calls[-1]

    def ask(self, name: str, operation: bus.AnyOperation, timeout: float = 5, **arguments: Any) -> None:
        command = bus.Command(
            process="default/shop/a",
            id=name,
            broker="b1",
            viewer=who("ada"),
            timeout=timeout,
            operation=operation,
        )
        self.questions.ask(command, **arguments)

    async def answered(self, value: Any) -> None:
        """The call that waits longest."""
        call = self._calls.pop(0)
        if isinstance(value, Exception):
            call.set_exception(value)
        else:
            call.set_result(value)
        await settled()

    @property
    def last_failure(self) -> Failure:
        failure = self.answers[-1].failure
        assert failure is not None
        return failure


async def settled() -> None:
    """Whatever can go on has gone on until it waits again."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    async with asyncio.TaskGroup() as group:
        desk.questions.begin(group)
        yield desk
        desk.questions.end()


async def test_a_question_takes_its_arguments_to_the_tap_and_its_answer_back(desk: Desk) -> None:
    desk.ask("one", bus.ReadTasks(), detail="all")
    await settled()
    assert desk.asked == [("tasks", 5, {"detail": "all"})]
    await desk.answered({"tasks": [], "loops": [], "time": 1.0, "truncated": False})
    (answer,) = desk.answers
    assert answer.command == "one" and answer.failure is None and answer.result is not None
    assert codec.decode(answer.result, looking.Tasks).tasks == ()


async def test_a_question_waits_as_long_as_its_asker_and_never_longer_than_is_good_for_the_sidecar(
    desk: Desk,
) -> None:
    desk.ask("short", bus.ReadStacks(), timeout=0.5)
    desk.ask("long", bus.ReadStacks(), timeout=ASK_WITHIN * 6)
    desk.questions.order("debugger.hold", seconds=3)
    await settled()
    assert desk.asked == [
        ("stacks", 0.5, {}),
        ("stacks", ASK_WITHIN, {}),
        ("debugger.hold", ORDER_WITHIN, {"seconds": 3}),
    ]


async def test_one_question_too_many_is_refused_at_once_and_is_welcome_after_an_answer(desk: Desk) -> None:
    for number in range(MOST_QUESTIONS):
        desk.ask(str(number), bus.ReadStacks())
    assert desk.answers == []
    desk.ask("too many", bus.ReadStacks())
    assert desk.answers[-1].command == "too many"
    assert (desk.last_failure.code, desk.last_failure.reason) == (Code.RESOURCE_EXHAUSTED, Reason.TOO_MANY)
    await settled()
    assert len(desk.asked) == MOST_QUESTIONS

    await desk.answered(TapFault(BUSY))
    desk.ask("later", bus.ReadStacks())
    await settled()
    assert len(desk.asked) == MOST_QUESTIONS + 1
    assert [each.command for each in desk.answers] == ["too many", "0"]


async def test_one_order_too_many_is_dropped_and_takes_no_questions_place(desk: Desk) -> None:
    for number in range(MOST_ORDERS + 1):
        desk.questions.order("debugger.interrupt", seq=number)
    desk.ask("question", bus.ReadStacks())
    await settled()
    orders = [arguments["seq"] for _, _, arguments in desk.asked if arguments]
    assert orders == list(range(MOST_ORDERS))
    assert len(desk.asked) == MOST_ORDERS + 1

    await desk.answered(True)
    desk.questions.order("debugger.interrupt", seq=99)
    await settled()
    assert desk.asked[-1][2] == {"seq": 99}
    assert desk.answers == []


@pytest.mark.parametrize("error", [TapFault(BUSY), TapLost()], ids=["refused", "lost"])
async def test_what_the_tap_refuses_is_told_to_the_asker_and_an_order_harms_nobody(
    desk: Desk, error: TapFault | TapLost
) -> None:
    desk.ask("question", bus.ReadStacks())
    desk.questions.order("debugger.hold", seconds=3)
    await settled()
    await desk.answered(error)
    await desk.answered(error)
    (answer,) = desk.answers
    assert answer.failure == error.failure


@pytest.mark.parametrize("value", [None, [1], {"threads": "many"}, {"threads": [], "time": "late"}])
async def test_what_is_no_answer_to_the_question_becomes_a_failure(desk: Desk, value: Any) -> None:
    desk.ask("question", bus.ReadStacks())
    await settled()
    await desk.answered(value)
    assert (desk.last_failure.code, desk.last_failure.reason) == (Code.INTERNAL, Reason.BUG)


async def test_what_is_under_way_at_the_end_is_answered_no_more(desk: Desk) -> None:
    desk.ask("question", bus.ReadStacks())
    desk.questions.order("debugger.hold", seconds=3)
    await settled()
    desk.questions.end()
    await settled()
    assert all(call.cancelled() for call in desk._calls) and len(desk._calls) == 2
    assert desk.answers == []
