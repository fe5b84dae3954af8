"""What the history does when something fails: it says so once, acknowledges nothing, and goes on when it can."""

import asyncio
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sonde_broker.queries import FindEvents
from sonde_broker.store import Store, engine, inbox, readers
from sonde_broker.store.failures import FULL, StoreFailed
from sonde_broker.store.inbox import Inbox
from sonde_wire import Code, Failure, Reason
from sonde_wire.rpc import HistoryEvents
from tests.broker.store.telling import EVERYTHING, Desk, Teller, desk, numbers
from tests.support import postgres

EVENTS = FindEvents(HistoryEvents(limit=1000, order="oldest"), EVERYTHING)


def names(directory: Path, beginning: str = "") -> list[str]:
    return sorted(each.name for each in directory.iterdir() if each.name.startswith(beginning))


async def test_what_was_acknowledged_survives_the_end_of_the_broker_without_warning(url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.broker.store.writing_process", url), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = 0
    try:
        for _ in range(20):
            acknowledged = int(await process.stdout.readline())
    finally:
        process.send_signal(signal.SIGKILL)
        rest = await process.stdout.read()
        await process.wait()
    acknowledged = int((rest.split(b"\n")[:-1] or [b"%d" % acknowledged])[-1])
    assert acknowledged >= 400
    async with desk(url) as history:
        found: list[int] = []
        cursor = None
        while True:
            page = await history.find(limit=1000, order="oldest", cursor=cursor)
            found += numbers(page)
            cursor = page.cursor
            if cursor is None:
                break
        assert found[:acknowledged] == list(range(1, acknowledged + 1))


def test_a_full_disk_is_told_and_all_is_stored_when_there_is_room_again(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.broker.store.full_disk", str(tmp_path)]
    private = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a mount namespace")
    done = subprocess.run([*private, *program], capture_output=True, text=True, check=False, timeout=40)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"before": 50, "problem": FULL, "readable": 50, "upto": 350, "found": told["found"]}
    assert told["found"] >= 100


async def test_a_history_that_another_program_holds_locked_is_degraded_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "BUSY", 0.05)
    path = tmp_path / "history.db"
    web = Teller()
    async with desk(f"sqlite:///{path}") as history:
        await history.keep(web, web.some(2))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        history.store.keep(web.keep(web.some(2)))
        assert "another program holds" in (await history.changed("degraded")).problem
        assert numbers(await history.find(order="oldest")) == [1, 2]
        other.close()
        await history.changed("up")
        assert await history.committed(web) == 4
    assert sum("not stored" in record.message for record in caplog.records) == 1


async def test_a_server_that_is_gone_is_degraded_and_is_written_again_when_it_is_back(
    cluster: postgres.Cluster,
) -> None:
    web = Teller()
    async with desk(cluster.new_database()) as history:
        identity = (await history.changed("up")).identity
        await history.keep(web, web.some(2))
        cluster.stop("immediate")
        try:
            history.store.keep(web.keep(web.some(2)))
            assert "does not answer" in (await history.changed("degraded")).problem
            answer = await history.ask(EVENTS)
            assert isinstance(answer, Failure)
            assert (answer.code, answer.reason) == (Code.UNAVAILABLE, Reason.HISTORY_FAILED)
        finally:
            cluster.start()
        assert (await history.changed("up")).identity == identity
        assert await history.committed(web) == 4
        assert numbers(await history.find(order="oldest")) == [1, 2, 3, 4]


async def test_a_place_that_cannot_be_written_is_degraded_until_it_can(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.touch()
    web = Teller()
    async with desk(f"sqlite:///{blocked / 'history.db'}") as history:
        history.store.keep(web.keep(web.some(2)))
        assert "cannot be opened" in (await history.changed("degraded")).problem
        answer = await history.ask(EVENTS)
        assert isinstance(answer, Failure)
        assert "cannot be opened" in answer.message
        blocked.unlink()
        await history.changed("up")
        assert await history.committed(web) == 2


async def test_a_damaged_file_is_set_aside_and_a_new_history_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "history.db"
    web = Teller()
    async with desk(f"sqlite:///{path}") as history:
        before = await history.changed("up")
        await history.keep(web, web.some(100))
    damaged = path.read_bytes()
    path.write_bytes(damaged[:4096] + b"\xff" * (len(damaged) - 4096))
    async with desk(f"sqlite:///{path}") as history:
        assert (await history.changed("up")).identity != before.identity
        assert await history.keep(web, web.some(1), oldest=101) == 101
    (aside,) = names(tmp_path, "history.db.corrupt-")
    assert (tmp_path / aside).read_bytes()[4096:] == b"\xff" * (len(damaged) - 4096)
    assert "was damaged and is now" in caplog.text


async def test_a_file_of_zeros_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"\0" * 8192)
    async with desk(f"sqlite:///{path}") as history:
        await history.changed("up")
    assert len(names(tmp_path, "history.db.corrupt-")) == 1


async def test_what_is_no_history_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database" * 100)
    theirs = tmp_path / "theirs.db"
    with sqlite3.connect(theirs) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    connection.close()
    for path in (text, theirs):
        content = path.read_bytes()
        async with desk(f"sqlite:///{path}") as history:
            assert "is something else" in (await history.changed("degraded")).problem
        assert path.read_bytes() == content
    assert names(tmp_path) == ["notes.txt", "theirs.db"]


async def test_tables_of_another_version_are_left_alone_and_people_told_what_to_do(
    url: str, tmp_path: Path, cluster: postgres.Cluster
) -> None:
    async with desk(url) as history:
        await history.changed("up")
    newer = "UPDATE sonde_meta SET value='99' WHERE key='schema'"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(newer)
        connection.close()
    else:
        cluster.run(newer, url.rpartition("/")[0] and url.split("@/")[1].split("?")[0])
    async with desk(url) as history:
        problem = (await history.changed("degraded")).problem
        assert "another version" in problem
        assert "use that version" in problem


async def test_a_history_that_was_removed_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    web = Teller()
    async with desk(f"sqlite:///{path}") as history:
        first = await history.changed("up")
        await history.keep(web, web.some(2))
        for name in names(tmp_path):
            (tmp_path / name).unlink()
        assert await history.keep(web, web.some(2)) == 0
        assert await history.keep(web, web.some(2), oldest=3) == 6
        assert (await history.changed("up")).identity != first.identity
        assert numbers(await history.find(order="oldest")) == [3, 4, 5, 6]


async def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "history.db"
    before = os.umask(0)
    try:
        async with desk(f"sqlite:///{path}") as history:
            await history.keep((web := Teller()), web.some(2))
            modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
            assert set(modes.values()) == {0o600}, modes
            assert "history.db-wal" in modes
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    async with desk(f"sqlite:///{path}") as history:
        await history.changed("up")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_question_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = Teller()
    async with desk(f"sqlite:///{tmp_path / 'history.db'}") as history:
        await history.keep(web, web.some(200))
        monkeypatch.setattr(engine, "STEPS", 1)
        monkeypatch.setattr(readers, "MOST_TIME", 0.0)
        answer = await history.ask(EVENTS)
        assert isinstance(answer, Failure)
        assert (answer.code, answer.reason) == (Code.DEADLINE_EXCEEDED, Reason.HISTORY_FAILED)
        monkeypatch.undo()
        assert len((await history.find()).events) == 100


async def test_more_questions_than_can_wait_are_refused_and_each_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MOST_WAITING", 3)
    async with desk(f"sqlite:///{tmp_path / 'history.db'}") as history:
        answers = await _asked_at_once(history, 50)
        refused = [each for each in answers if isinstance(each, Failure)]
        assert {each.reason for each in refused} == {Reason.TOO_MANY}
        assert len(answers) == 50


async def _asked_at_once(history: Desk, number: int) -> list[object]:
    from sonde_broker.relay_io import AskStore, StoreAnswered

    for each in range(1000, 1000 + number):
        history.store.ask(AskStore(each, EVENTS))
    answers: list[object] = []
    while len(answers) < number:
        if isinstance(told := await history.next(), StoreAnswered):
            answers.append(told.answer)
    return answers


def test_what_finds_no_room_in_the_queue_is_dropped_and_counted() -> None:
    web = Teller()
    waiting = Inbox(most_bytes=100_000)
    kept = [waiting.put(web.keep(web.some(10, size=1000))) for _ in range(12)]
    assert kept == [True] * 7 + [False] * 5
    assert waiting.dropped == 50
    assert len(waiting.take(0)) == 7
    assert waiting.bytes == 0
    assert waiting.put(web.keep(web.some(10)))
    waiting.close()
    assert not waiting.put(web.keep(web.some(10)))


def test_a_transaction_has_so_many_events_and_always_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MOST_EVENTS", 25)
    web = Teller()
    waiting = Inbox()
    for number in (10, 10, 10, 40, 5):
        waiting.put(web.keep(web.some(number)))
    taken = []
    while batches := waiting.take(0):
        taken.append([len(keep.headers) for keep in batches])
    assert taken == [[10, 10], [10], [40], [5]]


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "nonsense", ""])
async def test_a_url_of_something_else_is_refused_at_once(url: str) -> None:
    with pytest.raises(StoreFailed, match="history"):
        Store(url, print)


async def test_a_batch_that_no_database_takes_is_left_out_and_all_others_are_stored(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from sonde_broker.store import rows

    monkeypatch.setattr(rows, "MOST_NUMBER", 2**80)
    caplog.set_level(logging.ERROR)
    web, evil = Teller(), Teller("prod/evil/one", 2)
    evil.seq = 2**70
    async with desk(url) as history:
        await history.changed("up")
        history.store.keep(web.keep(web.some(2)))
        history.store.keep(evil.keep(evil.some(1)))
        history.store.keep(web.keep(web.some(2)))
        while await history.committed(web) != 4:
            pass
        assert numbers(await history.find(order="oldest")) == [1, 2, 3, 4]
        assert history.changes == []
    assert "cannot be stored" in caplog.text
