"""Who awaits whom, in lines."""

from sonde_viewer.awaiting import DEEPEST, tree
from sonde_wire.looking import TaskInfo


def task(number: int, *awaited_by: int) -> TaskInfo:
    return TaskInfo(
        id=number,
        name=f"Task-{number}",
        loop=1,
        state="waiting",
        coroutine="work",
        frames=(),
        awaited_by=awaited_by,
    )


def lines(*tasks: TaskInfo) -> list[str]:
    return [f"{'-' * line.depth}{line.task.id}{' again' if line.again else ''}" for line in tree(tasks)]


def test_a_task_stands_below_the_one_that_awaits_it() -> None:
    assert lines(task(1), task(2, 1), task(3, 2), task(4, 1), task(5)) == ["1", "-2", "--3", "-4", "5"]


def test_one_that_several_await_is_shown_in_full_once() -> None:
    assert lines(task(1), task(2), task(3, 1, 2), task(4, 3)) == ["1", "-3", "--4", "2", "-3 again"]


def test_a_circle_is_shown_and_ends() -> None:
    assert lines(task(1, 2), task(2, 1)) == ["1", "-2", "--1 again"]
    assert lines(task(1, 1)) == ["1", "-1 again"]


def test_one_whose_waiter_is_not_listed_is_a_root() -> None:
    assert lines(task(1, 99)) == ["1"]


def test_a_chain_without_end_is_cut_and_nothing_of_it_is_lost() -> None:
    found = tree([task(number, *([number - 1] if number else [])) for number in range(DEEPEST * 3)])
    assert max(line.depth for line in found) == DEEPEST
    assert {line.task.id for line in found} == set(range(DEEPEST * 3))
