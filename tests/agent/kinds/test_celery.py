"""A Celery worker with its prefork pool, over a broker that is a folder."""

import textwrap
from pathlib import Path

from tests.agent.kinds.family import SONDE_RUN, all_gone, are_children, come, comes, hit, launched
from tests.agent.tap.fakes import FakeSidecar, eventually

TASKS = """
    import os
    import sys
    import threading
    from celery import Celery, signals

    folder = os.path.dirname(os.path.abspath(__file__)) + "/queue"
    os.makedirs(folder, exist_ok=True)
    app = Celery("tasks", broker="filesystem://")
    app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder, "polling_interval": 0.05}
    app.conf.worker_hijack_root_logger = False

    @app.task
    def price(count):
        total = count * 3  # stop here
        with open(folder + ".done", "w") as file:
            file.write(f"{os.getpid()} {total}")

    def order():
        for line in sys.stdin:
            price.delay(int(line))

    @signals.worker_ready.connect
    def ready(**_):
        threading.Thread(target=order, daemon=True).start()
    """
WORKER = ("worker", "--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle")


def test_each_worker_of_the_pool_is_a_process_of_its_own(sidecar: FakeSidecar, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(textwrap.dedent(TASKS))
    command = (*SONDE_RUN, "-m", "celery", "-A", "tasks", "--quiet", *WORKER, "--without-heartbeat")
    with launched(tmp_path, *command, environment=sidecar.environment, main="tasks.py") as program:
        master = comes(sidecar)
        workers = come(sidecar, 2)
        assert are_children(master, *workers)
        worker = hit(workers, program.path, program.line_of("stop here"), lambda: program.tell("5"))
        done = tmp_path / "queue.done"
        eventually(lambda: done.exists() and done.read_text(), "the task to be done")
        assert done.read_text() == f"{worker.pid} 15"
        program.process.terminate()
        code, _, errors = program.end()
        assert code == 0
        assert "sonde" not in errors.lower() and "Traceback" not in errors
        all_gone(*workers)
