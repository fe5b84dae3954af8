"""A program whose thread `worker` works on and on, while its main thread evaluates each line that it is told.

Its source is WORKS, then what a test adds (which starts the tap or a server), then ANSWERS.
"""

from tests.agent.tap.fakes import Program, eventually

WORKS = """
    import os
    import sys
    import threading
    import warnings
    warnings.simplefilter("ignore")  # about forking with threads, from 3.12 on
    go_on = threading.Event()
    rounds = 0

    def work(number):
        doubled = number * 2
        return doubled  # stop here

    def worker():
        global rounds
        while not go_on.wait(0.005):
            work(rounds)
            rounds += 1

    def tracing():
        if sys.version_info >= (3, 12):
            return sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(sys.gettrace()))
        thread.start()
        thread.join()
        return sys.gettrace() or threading.gettrace() or seen[0]
"""
ANSWERS = """
    threading.Thread(target=worker, name="worker", daemon=True).start()
    for line in sys.stdin:
        print(eval(line), flush=True)
"""


def ask(program: Program, expression: str) -> str:
    program.tell(expression)
    return program.hear() or f"nothing; it ended with {program.end()}"


def goes_on(program: Program) -> bool:
    before = int(ask(program, "rounds"))
    return eventually(lambda: int(ask(program, "rounds")) > before, "the worker to go on")
