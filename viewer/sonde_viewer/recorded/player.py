"""Plays a recorded session in a terminal: all of it, in its own time, or by keys."""

import contextlib
import os
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from typing import assert_never

from rich.console import Console

from sonde_viewer import screen
from sonde_viewer.commands.connection import print_json
from sonde_viewer.recorded import steps
from sonde_viewer.recorded.keys import HELP, Goto, Keys, Move, presses
from sonde_viewer.replay import Replay, State

LONGEST_PAUSE = 3.0
"""Seconds between two steps, however long nothing happened."""


def list_steps(replay: Replay, *, as_json: bool) -> None:
    play(replay, lambda _: None, as_json=as_json)


def pauses(speed: float) -> Callable[[float], None]:
    """For `play`: waits as long as it took, divided by the speed."""
    return lambda seconds: time.sleep(min(max(seconds, 0.0) / speed, LONGEST_PAUSE))


def play(replay: Replay, wait: Callable[[float], None], *, as_json: bool) -> None:
    """From where it is to its end. `wait` gets the seconds that lie between two steps."""
    console = screen.console()
    state = replay.state
    _print(console, replay, state, as_json=as_json)
    while replay.position < len(replay):
        before, state = state, replay.next()
        wait(state.time - before.time)
        _print(console, replay, state, as_json=as_json)


def by_keys(replay: Replay) -> None:
    """Until `q`. For a terminal on both sides."""
    console = screen.console()
    keys = Keys()
    with _single_keys() as read:  # before anything is shown that somebody may answer with a key
        console.print(HELP, style="dim")
        steps.show(console, replay, replay.state)
        while True:
            for key in presses(read()):
                pressed = keys.press(key)
                match pressed:
                    case "typing" | "nothing":
                        _prompt(keys)
                    case Goto(step=step):
                        _prompt(keys)
                        steps.show(console, replay, replay.goto(step))
                    case Move.QUIT:
                        return
                    case Move():
                        _move(console, replay, pressed)
                    case _:
                        assert_never(pressed)


def _move(console: Console, replay: Replay, move: Move) -> None:
    state: State | None = None
    match move:
        case Move.NEXT if replay.position == len(replay):
            console.print("that was the end", style="dim")
        case Move.NEXT:
            state = replay.next()
        case Move.PREVIOUS:
            state = replay.previous()
        case Move.NEXT_STOP | Move.STOP_BEFORE:
            state = replay.next_stop() if move is Move.NEXT_STOP else replay.previous_stop()
            if state is None:
                console.print("there is no further stop", style="dim")
        case Move.ALL:
            list_steps(replay, as_json=False)
        case _:
            console.print(HELP, style="dim")
    if state is not None:
        steps.show(console, replay, state)


def _print(console: Console, replay: Replay, state: State, *, as_json: bool) -> None:
    if as_json:
        print_json(steps.document(replay, state))
    else:
        console.print(steps.line(replay, state), soft_wrap=True)


def _prompt(keys: Keys) -> None:
    """The number that is being typed, on a line that the next output takes."""
    sys.stdout.write("\r\x1b[K" if keys.typed is None else f"\r\x1b[Kgo to step {keys.typed}")
    sys.stdout.flush()


@contextlib.contextmanager
def _single_keys() -> Iterator[Callable[[], str]]:
    """Each press at once and unseen; Ctrl-C stays what it is. The end of the input is Ctrl-D."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSADRAIN)  # what was typed already counts
    try:
        yield lambda: os.read(descriptor, 64).decode(errors="replace") or "\x04"
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
