"""`multiprocessing` and `concurrent.futures`: each worker is a process of its own, however it is started."""

import sys
import textwrap
from pathlib import Path

import pytest

from tests.agent.kinds.family import SONDE_RUN, all_gone, are_children, come, comes, hit, launched
from tests.agent.tap.fakes import FakeSidecar

WORKERS = """
    import multiprocessing
    import os
    import sys

    def price(count):
        return count * 3  # stop here

    def work(queue):
        while (count := queue.get()) is not None:
            print(os.getpid(), price(count), flush=True)

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        queue = context.Queue()
        workers = [context.Process(target=work, args=(queue,)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for line in sys.stdin:
            queue.put(int(line))
        for worker in workers:
            queue.put(None)
        for worker in workers:
            worker.join()
        print([worker.exitcode for worker in workers])
        sys.exit(4)
    """
STARTS_ITSELF = """
    import sonde_agent
    sonde_agent.start("shop")
    """


def written(directory: Path, source: str, before: str = "") -> Path:
    main = directory / "app.py"
    main.write_text(textwrap.dedent(before) + textwrap.dedent(source))
    return main


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("how", ["injected", "by itself"])
def test_workers_are_processes_of_their_own(
    sidecar: FakeSidecar, tmp_path: Path, method: str, how: str
) -> None:
    injected = how == "injected"
    main = written(tmp_path, WORKERS, "" if injected else STARTS_ITSELF)
    command = (*SONDE_RUN, "--service", "shop", "--instance", "one") if injected else (sys.executable,)
    with launched(tmp_path, *command, str(main), method, environment=sidecar.environment) as program:
        first = comes(sidecar)
        workers = come(sidecar, 2)
        assert are_children(first, *workers)
        assert [each.hello.service for each in workers] == ["shop"] * 2
        assert {each.hello.instance for each in workers} == (
            {f"one-{each.pid}" for each in workers} if injected else {""}
        )
        worker = hit(workers, program.path, program.line_of("stop here"), lambda: program.tell("5"))
        pid, price = program.hear().split()
        assert (int(pid), price) == (worker.pid, "15")
        code, output, errors = program.end()
        assert (code, output, errors) == (4, "[0, 0]\n", "")
        all_gone(*workers)


def test_the_workers_of_a_pool_are_processes_of_their_own(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import os
        import sys
        from concurrent.futures import ProcessPoolExecutor

        def price(count):
            return os.getpid(), count * 3  # stop here

        if __name__ == "__main__":
            with ProcessPoolExecutor(2) as pool:
                print(len(set(pool.map(price, range(100)))) > 1, flush=True)
                for line in sys.stdin:
                    print(*pool.submit(price, int(line)).result(), flush=True)
        """
    main = written(tmp_path, source)
    with launched(tmp_path, *SONDE_RUN, str(main), environment=sidecar.environment) as program:
        first = comes(sidecar)
        workers = come(sidecar, 2)
        assert are_children(first, *workers)
        assert program.hear() == "True"
        worker = hit(workers, program.path, program.line_of("stop here"), lambda: program.tell("5"))
        assert program.hear() == f"{worker.pid} 15"
        assert program.end() == (0, "", "")
        all_gone(*workers)
