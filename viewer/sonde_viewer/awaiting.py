"""Who awaits whom, as a tree in lines; pure.

A task may be awaited by several, and tasks that await each other in a circle have no root; each task is shown in
full once, and every time after as a reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sonde_wire import looking

DEEPEST = 100


@dataclass(frozen=True)
class Line:
    """`again`: it was shown further up, with what is below it."""

    task: looking.TaskInfo
    depth: int
    again: bool = False
    has_below: bool = False


def tree(tasks: Sequence[looking.TaskInfo]) -> list[Line]:
    """Roots are tasks that nobody awaits; then one of each circle that is left. In the order of the tasks."""
    below: dict[int, list[looking.TaskInfo]] = {}
    known = {task.id for task in tasks}
    for task in tasks:
        for waiter in task.awaited_by:
            below.setdefault(waiter, []).append(task)
    lines: list[Line] = []
    shown: set[int] = set()
    roots = [task for task in tasks if not known.intersection(task.awaited_by)]
    for root in [*roots, *tasks]:
        if root.id not in shown:
            _descend(root, below, shown, lines)
    return lines


def _descend(
    root: looking.TaskInfo, below: dict[int, list[looking.TaskInfo]], shown: set[int], lines: list[Line]
) -> None:
    """With a list of its own in the place of recursion: the process decides how deep it goes."""
    waiting = [(root, 0)]
    while waiting:
        task, depth = waiting.pop()
        again = task.id in shown
        shown.add(task.id)
        children = below.get(task.id, []) if not again and depth < DEEPEST else []
        lines.append(Line(task, depth, again=again, has_below=bool(children)))
        waiting += [(child, depth + 1) for child in reversed(children)]
