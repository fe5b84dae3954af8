"""The thread that looks after a debugger while it is connected: it performs what the dead-man timer and the limit
of evaluations decide.

It does so while the program stands anywhere, in a logging handler, an import or a `print`: it logs, imports and
resolves nothing, waits for no thread that can stand, and takes no lock but its own.
"""

from _thread import allocate_lock
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from sonde_agent.tap import wall
from sonde_agent.tap.deadman import Deadman
from sonde_agent.tap.interruption import Evaluation, Evaluations

_LOOK_AGAIN = 0.1
_INTERRUPT_AGAIN = 0.02


class Watch:
    """`start` and then `stop`, from any thread, its own as well. `let_go` ends the connection."""

    def __init__(
        self,
        deadman: Deadman,
        standing: Callable[[], list[float]],
        evaluations: Evaluations,
        give_up: Callable[[Evaluation], None],
        let_go: Callable[[], None],
    ) -> None:
        self._deadman = deadman
        self._standing = standing
        self._evaluations = evaluations
        self._give_up = give_up
        self._let_go = let_go
        self._stopped = False
        self._waking = allocate_lock()  # of C alone; somebody who releases it wakes us
        self._waking.acquire()

    def start(self) -> None:
        wall.start_thread(self._live, "sonde-watch")

    def stop(self) -> None:
        self._stopped = True
        self.wake()

    def wake(self) -> None:
        with suppress(RuntimeError):  # it is awake
            self._waking.release()

    def _live(self) -> None:
        wait = _LOOK_AGAIN
        # What sits in C when the connection ends is interrupted when it comes out of it.
        while not self._stopped or self._evaluations.running():
            self._waking.acquire(timeout=wait)
            now = monotonic()
            pressing, given_up = self._evaluations.look(now)
            for evaluation in given_up:
                self._give_up(evaluation)
                evaluation.told = True
            moment = self._deadman.lets_go_at(self._standing())
            if moment is not None and moment <= now and not self._stopped:
                self._let_go()
            wait = _INTERRUPT_AGAIN if pressing else _LOOK_AGAIN
