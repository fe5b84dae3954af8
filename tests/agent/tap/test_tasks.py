"""The tree of asyncio tasks: who awaits whom, what they wait for, and that looking changes nothing."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any

import pytest
from msgspec import convert

from sonde_agent.tap import loops, tasks
from sonde_wire.looking import TaskInfo, Tasks
from tests.agent.tap.fakes import running

Work = Callable[[], Coroutine[Any, Any, Any]]


async def look() -> Tasks:
    return convert(await asyncio.to_thread(tasks.read), Tasks)


class Stage:
    """Tasks that wait, and are gone with the test."""

    def __init__(self) -> None:
        self._begun: list[asyncio.Task[Any]] = []

    async def seen(self, work: Work, name: str = "looked at") -> tuple[TaskInfo, Tasks]:
        """What is found out about a task that does the work, once it waits."""
        self.begin(work(), name)
        for _ in range(5):  # what it begins is begun in turns
            await asyncio.sleep(0)
        found = await look()
        (task,) = (each for each in found.tasks if each.name == name)
        return task, found

    def begin(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._begun.append(task)
        return task

    async def end(self) -> None:
        for task in self._begun:
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.end()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def awaited_by(task: TaskInfo, found: Tasks) -> list[TaskInfo]:
    """The tasks that this one waits for."""
    return [each for each in found.tasks if task.id in each.awaited_by]


async def test_a_task_that_awaits_another_names_it(stage: Stage) -> None:
    async def outer() -> None:
        await stage.begin(forever(), "inner")

    task, found = await stage.seen(outer)
    (inner,) = awaited_by(task, found)
    assert inner.name == "inner"
    assert task.awaits == inner.id
    assert (task.state, task.coroutine) == ("waiting", outer.__qualname__)
    assert inner.waits_for == "Future"


async def gathers() -> None:
    await asyncio.gather(forever(), asyncio.gather(forever(), forever()))


async def waits() -> None:
    several = [asyncio.ensure_future(forever()) for _ in range(3)]
    await asyncio.wait(several, return_when=asyncio.FIRST_COMPLETED)


async def groups() -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(forever())


@pytest.mark.parametrize(
    ("work", "said"), [(gathers, "gather of 3"), (waits, "wait of 3"), (groups, "TaskGroup of 3")]
)
async def test_one_that_waits_for_several_is_named_by_each_of_them(
    stage: Stage, work: Work, said: str
) -> None:
    task, found = await stage.seen(work)
    assert (task.waits_for, task.awaits) == (said, None)
    assert [each.coroutine for each in awaited_by(task, found)] == ["forever"] * 3


async def test_what_is_done_already_is_no_longer_waited_for(stage: Stage) -> None:
    async def work() -> None:
        await asyncio.gather(asyncio.sleep(0), forever())

    task, found = await stage.seen(work)
    assert len(awaited_by(task, found)) == 1
    assert task.awaits == awaited_by(task, found)[0].id


async def test_shield_and_wait_for_hide_nobody(stage: Stage) -> None:
    async def shielding() -> None:
        await asyncio.shield(forever())

    async def limiting() -> None:
        await asyncio.wait_for(stage.begin(forever(), "limited"), 1000)

    task, found = await stage.seen(shielding)
    assert [each.coroutine for each in awaited_by(task, found)] == ["forever"]
    task, found = await stage.seen(limiting, "second")
    assert [each.name for each in awaited_by(task, found)] == ["limited"]


async def locks() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def events() -> None:
    await asyncio.Event().wait()


async def queues() -> None:
    await asyncio.Queue[int]().get()


async def conditions() -> None:
    condition = asyncio.Condition()
    async with condition:
        await condition.wait()


async def semaphores() -> None:
    await asyncio.Semaphore(0).acquire()


async def sleeps() -> None:
    await asyncio.sleep(1000)


async def reads() -> None:
    await asyncio.StreamReader().readline()


async def is_limited() -> None:
    async with asyncio.timeout(1000):
        await asyncio.sleep(2000)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (locks, "Lock"),
        (events, "Event"),
        (queues, "Queue.get"),
        (conditions, "Condition"),
        (semaphores, "Semaphore"),
        (sleeps, "sleep"),
        (reads, "StreamReader"),
        (is_limited, "sleep"),
        (forever, "Future"),
    ],
)
async def test_what_is_no_task_is_named(stage: Stage, work: Work, said: str) -> None:
    task, _ = await stage.seen(work)
    assert (task.waits_for, task.awaits) == (said, None)


async def test_work_in_a_thread_is_named(stage: Stage) -> None:
    over = threading.Event()

    async def work() -> None:
        await asyncio.get_running_loop().run_in_executor(None, over.wait)

    try:
        task, _ = await stage.seen(work)
    finally:
        over.set()
    assert task.waits_for == "a thread"


async def test_one_that_can_go_on_waits_for_its_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PATIENCE", 0.05)
    seen: list[dict[str, Any]] = []

    async def work() -> None:
        await asyncio.sleep(1000)

    def read_in_its_place() -> None:
        """While the loop's thread waits here, nothing of the loop moves."""
        reading = threading.Thread(target=lambda: seen.append(tasks.read()))
        reading.start()
        reading.join()

    stage.begin(work(), "new")
    read_in_its_place()
    (task,) = (each for each in convert(seen[0], Tasks).tasks if each.name == "new")
    assert task.waits_for == "its turn"


class Wrapped:
    def __await__(self) -> Generator[Any, None, None]:
        return forever().__await__()


async def generates() -> AsyncIterator[int]:
    await Wrapped()
    yield 1


async def test_the_frames_lead_through_generators_and_awaitables(stage: Stage) -> None:
    async def outer() -> None:
        async for _ in generates():
            pass

    task, _ = await stage.seen(outer)
    assert [frame.function for frame in task.frames] == ["forever", "generates", outer.__qualname__]
    assert task.frames[-1].text == "async for _ in generates():"
    assert task.frames[-1].path == __file__


async def test_a_running_task_has_its_threads_stack_and_its_loop_does_not_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "PATIENCE", 0.05)
    seen: list[dict[str, Any]] = []

    def does_not_await() -> None:
        reading = threading.Thread(target=lambda: seen.append(tasks.read()))
        reading.start()
        reading.join()

    async def work() -> None:
        does_not_await()

    await stage.begin(work(), "busy")
    found = convert(seen[0], Tasks)
    (task,) = (each for each in found.tasks if each.name == "busy")
    assert (task.state, task.waits_for) == ("running", "")
    functions = [frame.function for frame in task.frames]
    assert functions[-2:] == [does_not_await.__qualname__, work.__qualname__]
    (loop,) = (each for each in found.loops if each.id == task.loop)
    assert (loop.thread, loop.lag) == (threading.current_thread().name, None)


async def test_a_loop_tells_its_thread_and_how_late_it_is(stage: Stage) -> None:
    task, found = await stage.seen(forever)
    (loop,) = (each for each in found.loops if each.id == task.loop)
    assert loop.thread == threading.current_thread().name
    assert loop.lag is not None
    assert 0 <= loop.lag < loops.PATIENCE
    assert loop.implementation.startswith("asyncio.")


async def test_the_tasks_of_every_loop_are_found(stage: Stage) -> None:
    begun, over = threading.Event(), threading.Event()

    def another_thread() -> None:
        async def work() -> None:
            begun.set()
            await asyncio.to_thread(over.wait)

        asyncio.run(work())

    thread = threading.Thread(target=another_thread, name="another loop")
    thread.start()
    try:
        await asyncio.to_thread(begun.wait)
        found = await look()
    finally:
        over.set()
        thread.join()
    assert {"another loop", threading.current_thread().name} <= {each.thread for each in found.loops}
    assert len({each.loop for each in found.tasks}) == 2


def test_tasks_of_uvloop_are_read_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def outer() -> Tasks:
        inner = asyncio.create_task(asyncio.wait_for(forever(), 1000), name="inner")
        await asyncio.sleep(0)
        found = await look()
        inner.cancel()
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(outer())
    (loop,) = (each for each in found.loops if each.implementation == "uvloop.Loop")
    assert loop.thread == threading.current_thread().name
    assert loop.lag is not None
    assert "inner" in {each.name for each in found.tasks if each.loop == loop.id}


async def test_tasks_that_are_written_in_python_are_read_as_those_in_c(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    in_python = asyncio.tasks._PyTask  # type: ignore[attr-defined] # what a program without the C part has

    def make(its_loop: Any, work: Any, **options: Any) -> Any:
        return in_python(work, loop=its_loop, **options)

    async def outer() -> None:
        await asyncio.create_task(forever(), name="inner")

    loop.set_task_factory(make)
    try:
        task, found = await stage.seen(outer)
    finally:
        loop.set_task_factory(None)
    (inner,) = awaited_by(task, found)
    assert (inner.name, inner.waits_for) == ("inner", "Future")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
async def test_an_eager_task_that_waits_is_found(stage: Stage) -> None:
    factory = getattr(asyncio, "eager_task_factory")  # noqa: B009 - 3.11's types do not have it
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        task, _ = await stage.seen(events)
    finally:
        loop.set_task_factory(None)
    assert task.waits_for == "Event"


async def test_nothing_of_the_programs_own_classes_is_run(stage: Stage) -> None:
    ran: list[str] = []

    class Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            ran.append("__instancecheck__")
            return False

    class Spy(asyncio.Task[Any], metaclass=Meta):
        def __getattribute__(self, name: str) -> Any:
            if threading.current_thread() is not thread:
                ran.append(name)
            return super().__getattribute__(name)

        def __hash__(self) -> int:
            if threading.current_thread() is not thread:
                ran.append("__hash__")
            return id(self)

    class Odd:
        """Awaited by hand, as some libraries do it."""

        def __getattr__(self, name: str) -> Any:
            ran.append(name)
            raise AttributeError(name)

        def __await__(self) -> "Odd":
            return self

        def __iter__(self) -> "Odd":
            return self

        def __next__(self) -> None:
            return None

        def send(self, _: Any) -> None:
            return None

    async def odd() -> None:
        await Odd()

    thread = threading.current_thread()
    spy = Spy(forever(), loop=asyncio.get_running_loop(), name="spy")
    turning = stage.begin(odd(), "odd")
    await asyncio.sleep(0)
    ran.clear()
    found = await look()
    assert {"spy", "odd"} <= {each.name for each in found.tasks}
    assert ran == []
    spy.cancel()
    turning.cancel()


def test_a_loop_for_which_the_program_has_its_own_scheduling_is_left_alone() -> None:
    callers: list[str] = []

    class Own(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *arguments: Any, **options: Any) -> Any:  # type: ignore[override] # passes all on
            callers.append(threading.current_thread().name)
            return super().call_soon_threadsafe(*arguments, **options)

    async def work() -> Tasks:
        found: list[dict[str, Any]] = []
        reading = threading.Thread(target=lambda: found.append(tasks.read()), name="reader")
        reading.start()
        await asyncio.to_thread(reading.join)
        return convert(found[0], Tasks)

    with asyncio.Runner(loop_factory=Own) as runner:
        found = runner.run(work())
    (loop,) = (each for each in found.loops if each.implementation.endswith("Own"))
    assert (loop.thread, loop.lag) == (threading.current_thread().name, None)
    assert callers
    assert "reader" not in callers


async def test_what_comes_too_late_disturbs_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PATIENCE", 0.01)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    reading = threading.Thread(target=tasks.read)
    reading.start()
    reading.join()
    await asyncio.sleep(0.01)
    assert faults == []


async def test_the_answer_is_bounded_and_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def deep(left: int) -> None:
        await (deep(left - 1) if left else forever())

    task, found = await stage.seen(lambda: deep(tasks.MOST_FRAMES_OF_A_TASK))
    assert (len(task.frames), task.truncated, found.truncated) == (tasks.MOST_FRAMES_OF_A_TASK, True, False)
    assert task.frames[0].function == "forever"
    monkeypatch.setattr(tasks, "MOST_TEXT", 100)
    found = await look()
    assert found.truncated
    assert sum(len(each.frames) for each in found.tasks) <= 2
    monkeypatch.setattr(tasks, "MOST_TASKS", 1)
    found = await look()
    assert (len(found.tasks), found.truncated) == (1, True)


async def test_tasks_may_come_and_go_while_they_are_read(stage: Stage) -> None:
    over = asyncio.Event()

    async def come_and_go() -> None:
        while not over.is_set():
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(50)))

    churning = stage.begin(come_and_go())
    for _ in range(20):
        found = await look()
        known = {each.id for each in found.tasks}
        assert churning.get_name() in {each.name for each in found.tasks}
        assert len(known) == len(found.tasks)
    over.set()
    await churning


def test_a_program_without_asyncio_gets_none(tmp_path: Any) -> None:
    program = """
        import sys
        from sonde_agent.tap import tasks
        found = tasks.read()
        print(found["tasks"], found["loops"], "asyncio" in sys.modules)
    """
    with running(tmp_path, program) as started:
        code, out, err = started.end()
    assert (code, out.strip(), err) == (0, "[] [] False", "")


def test_a_loop_that_does_not_run_holds_nobody_up() -> None:
    quiet = asyncio.new_event_loop()
    waiting = quiet.create_task(forever(), name="never begun")
    began = time.monotonic()
    found = convert(tasks.read(), Tasks)
    assert time.monotonic() - began < loops.PATIENCE
    (loop,) = (each for each in found.loops if each.id == id(quiet))
    assert (loop.thread, loop.lag) == (None, None)
    waiting.cancel()
    quiet.run_until_complete(asyncio.wait({waiting}))
    quiet.close()
