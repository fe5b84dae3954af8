"""The verbs about the past as processes of their own, against a fake broker that remembers."""

import asyncio
import json
import os
import pty
import stat
import sys
from pathlib import Path

import msgspec
import pytest

from sonde_wire import bus, codec, rpc
from tests.viewer.fake_broker import TOKEN, FakeBroker
from tests.viewer.recorded import EVENTS, RECORD, SESSION, Archive, printed, started, stopped, without_history
from tests.viewer.test_commands import sonde


@pytest.fixture
def archive(broker: FakeBroker) -> Archive:
    return Archive(broker, *EVENTS)


async def test_events_of_the_past_are_told_newest_last(broker: FakeBroker, archive: Archive) -> None:
    code, output, errors = await sonde(
        "events",
        "shop",
        "--since",
        "10m",
        "--until",
        "2099-01-01",
        "--kind",
        "dap",
        "--text",
        "STOP",
        broker=broker,
    )
    assert (code, errors) == (0, "")
    assert [line.split("  ")[-1] for line in output.splitlines()] == [
        "thread 3 stopped: breakpoint",
        "thread 5 stopped: breakpoint",
    ]
    asked = archive.asked[0]
    assert (asked.selector, asked.kinds, asked.text, asked.order) == ("*/shop/*", ("dap",), "STOP", "newest")
    assert asked.since is not None and asked.until is not None and asked.until - asked.since > 600
    assert broker.asked("subscribe") == []


async def test_events_of_a_session_are_those_of_its_process(broker: FakeBroker, archive: Archive) -> None:
    code, output, errors = await sonde(
        "events", "--session", "cart bug", "--json", "--count", "3", broker=broker
    )
    assert [json.loads(line)["seq"] for line in output.splitlines()] == [8, 9, 11]
    assert (code, errors) == (0, "")
    assert (archive.asked[0].session, archive.asked[0].selector) == (SESSION, RECORD.process)


async def test_what_is_left_out_is_told(broker: FakeBroker, archive: Archive) -> None:
    archive.withheld = True
    _, _, errors = await sonde("events", "--since", "1h", broker=broker)
    assert "scope `inspect`" in errors
    archive.events = []
    code, output, errors = await sonde("events", "--kind", "dap", broker=broker)
    assert (code, output) == (0, "")
    assert "nothing like that is remembered" in errors


@pytest.mark.parametrize(("choice", "expected"), [("with", 2), ("without", 0), ("only", 2)])
async def test_what_programs_printed_is_a_choice(
    broker: FakeBroker, archive: Archive, choice: str, expected: int
) -> None:
    _, output, _ = await sonde("events", "--since", "1h", "--output", choice, broker=broker)
    assert output.count("output: ") == expected
    assert (len(output.splitlines()) == expected) == (choice == "only")


async def test_the_past_is_followed_by_what_happens_without_a_seam(
    broker: FakeBroker, archive: Archive
) -> None:
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(
            sonde("events", "--since", "1h", "--kind", "dap", "--json", "-f", "--count", "4", broker=broker)
        )
        await broker.was_asked("subscribe")
        (subscribed,) = broker.asked("subscribe")
        assert isinstance(subscribed, rpc.Subscribe)
        assert [each.seq for each in subscribed.cursors] == [8]
        for event in (EVENTS[-1], started(12), printed(13, "x"), stopped(14)):
            await broker.notify("events", rpc.EventItems(events=(_raw(event),)))
    code, output, _ = following.result()
    assert (code, [json.loads(line)["seq"] for line in output.splitlines()]) == (0, [3, 6, 8, 14])


async def test_a_lost_connection_and_what_is_missing_are_told_on_stderr(broker: FakeBroker) -> None:
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(sonde("events", "-f", "--json", "--count", "2", broker=broker))
        await broker.was_asked("subscribe")
        await broker.tell(bus.ProcessStarted, pid=1)
        await broker.close(1012)
        await broker.was_asked("subscribe", 2)
        await broker.notify(
            "gap", rpc.Gap(process=RECORD.process, boot=RECORD.boot, first=2, last=4, reason="lost")
        )
        await broker.notify("events", rpc.EventItems(events=(_raw(started(5)),)))
    code, output, errors = following.result()
    assert (code, [json.loads(line)["seq"] for line in output.splitlines()]) == (0, [1, 5])
    assert "restarting" in errors and "trying again" in errors and "connected again" in errors
    assert "3 events (2 to 4) of default/shop/shop-1 did not get here: nobody has them any more" in errors


async def test_a_session_is_named_for_those_who_look_for_it(broker: FakeBroker) -> None:
    named = ("--name", "cart bug", "--metadata", "ticket=X=1", "--metadata", "who=ada")
    code, _, errors = await sonde("debug", "shop", *named, "-c", "quit", broker=broker)
    assert (code, errors) == (0, "")
    assert broker.asked("session.open") == [
        rpc.BeginSession(process=RECORD.process, name="cart bug", metadata={"ticket": "X=1", "who": "ada"})
    ]


async def test_sessions_are_listed(broker: FakeBroker, archive: Archive) -> None:
    code, output, _ = await sonde("sessions", "ls", "shop", "--viewer", "ada", "--limit", "5", broker=broker)
    assert code == 0
    assert output.splitlines()[1].split("  ")[0] == SESSION
    assert "cart bug" in output and "11s" in output
    assert broker.asked("history.sessions") == [
        rpc.HistorySessions(selector="*/shop/*", viewer="ada", limit=5)
    ]
    _, output, _ = await sonde("sessions", "ls", "--json", broker=broker)
    assert json.loads(output)["sessions"][0]["metadata"] == {"ticket": "X-1"}


@pytest.mark.parametrize("name", [SESSION, SESSION[:4], "cart bug"])
async def test_a_session_is_shown_by_id_or_name(broker: FakeBroker, archive: Archive, name: str) -> None:
    code, output, _ = await sonde("sessions", "show", name, broker=broker)
    assert code == 0
    for told in (
        "ticket",
        "X-1",
        "because its viewer left it",
        "2 stops: 4.00 s in all, 3.00 s at the longest",
    ):
        assert told in output
    assert "1 events of its time are missing" not in output
    assert "1 event of its time is missing: nobody has it" in output
    assert "/app/shop.py: 4" in output


async def test_a_session_that_nobody_knows_is_told_with_what_to_do(
    broker: FakeBroker, archive: Archive
) -> None:
    code, output, errors = await sonde("sessions", "show", "nothing", broker=broker)
    assert (code, output) == (1, "")
    assert "sonde sessions ls" in errors


async def test_a_session_is_replayed_line_by_line_where_nobody_presses_keys(
    broker: FakeBroker, archive: Archive
) -> None:
    code, output, errors = await sonde("sessions", "replay", "cart bug", broker=broker)
    assert code == 0
    lines = output.splitlines()
    assert len(lines) == 11
    assert lines[3].endswith("+3.000 s  thread 3 stopped: breakpoint at shop.py:4")
    assert "is missing" in errors
    _, output, _ = await sonde("sessions", "replay", "cart bug", "--json", "--speed", "1e9", broker=broker)
    steps = [json.loads(line) for line in output.splitlines()]
    assert [each["step"] for each in steps] == list(range(11))
    assert steps[3]["standing"] == [
        {"thread": 3, "reason": "breakpoint", "place": {"path": "/app/shop.py", "line": 4}}
    ]


async def test_a_session_is_written_to_a_file_whole_and_private(
    broker: FakeBroker, archive: Archive, tmp_path: Path
) -> None:
    file = tmp_path / "session.json"
    code, output, _ = await sonde("sessions", "export", "cart bug", "-o", str(file), broker=broker)
    assert code == 0
    assert str(file) in output
    document = json.loads(file.read_text())
    assert [each["seq"] for each in document["events"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert document["gaps"] == [{"first": 10, "last": 10}]
    assert (document["format"], document["withheld"]) == ("sonde-session-1", False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    archive.withheld = True
    _, output, _ = await sonde("sessions", "export", "cart bug", broker=broker)
    assert (json.loads(output)["gaps"], json.loads(output)["withheld"]) == (None, True)


async def test_an_export_that_fails_leaves_the_old_file_alone(
    broker: FakeBroker, archive: Archive, tmp_path: Path
) -> None:
    file = tmp_path / "session.json"
    file.write_text("old")
    answer = broker.answers["history.events"]
    pages = iter([answer])
    broker.answers["history.events"] = lambda params: next(pages, lambda _: {"events": 3})(params)
    code, _, _ = await sonde("sessions", "export", "cart bug", "-o", str(file), broker=broker)
    assert (code, file.read_text(), _files(tmp_path)) == (1, "old", [file])
    nowhere = str(tmp_path / "nowhere" / "session.json")
    code, _, errors = await sonde("sessions", "export", "cart bug", "-o", nowhere, broker=broker)
    assert code == 1
    assert "cannot be written: No such file or directory" in errors


async def test_a_session_is_gone_through_by_keys(broker: FakeBroker, archive: Archive) -> None:
    ours, theirs = pty.openpty()
    variables = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    variables |= {"SONDE_URL": broker.url, "SONDE_TOKEN": TOKEN, "TERM": "xterm", "COLUMNS": "200"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sonde_viewer", "sessions", "replay", "cart bug"),
        env=variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(30):
            await asyncio.to_thread(_until, ours, b"the session begins")
            os.write(ours, b"s")
            await asyncio.to_thread(_until, ours, b"thread 3 stands: breakpoint at shop.py:4")
            os.write(ours, b"g7\r")
            await asyncio.to_thread(_until, ours, b"| two")
            os.write(ours, b"b")
            await asyncio.to_thread(_until, ours, b"thread 3 stands")
            os.write(ours, b"q")
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


async def test_a_report_is_summed_up_for_people(broker: FakeBroker, archive: Archive, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    code, output, _ = await sonde("report", "shop", "--since", "2h", "-o", str(file), broker=broker)
    assert code == 0
    for told in (
        "2 online, 1 ended, 0 lost",
        "3 (1 open), 1m30s in all",
        "2000 ended: > 99.9 % well, < 0.1 % in error",
        "exit by SIGKILL",
        "2.50 s",
        "3.0 GiB",
        "150 %",
        "not heard in time, and not in operations and peaks: default/slow/s-1",
    ):
        assert told in output
    assert "no history" not in output
    assert json.loads(file.read_text())["operations"][0]["name"] == "charge"
    code, output, _ = await sonde("report", "--json", broker=broker)
    assert json.loads(output)["peaks"][0]["peaks"]["threads"] == 7


@pytest.mark.parametrize(
    "arguments",
    [("events", "--since", "1h"), ("sessions", "ls"), ("sessions", "show", "x"), ("sessions", "export", "x")],
)
async def test_without_a_history_it_is_said_how_to_have_one(
    broker: FakeBroker, arguments: tuple[str, ...]
) -> None:
    without_history(broker)
    code, output, errors = await sonde(*arguments, broker=broker)
    assert (code, output) == (1, "")
    assert "--history" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("events", "--since", "yesterday"),
        ("events", "-f", "--until", "10m"),
        ("sessions",),
        ("sessions", "replay", "x", "--speed", "0"),
        ("sessions", "replay", "x", "--speed", "1", "--all"),
        ("report", "--rows", "0"),
        ("debug", "shop", "--metadata", "ticket"),
        ("debug", "shop", "--name", "x" * 101),
        ("debug", "shop", *(["--metadata", "a=b"] * 17)),
        ("up", "--no-history", "--history", "x.db"),
    ],
)
async def test_wrong_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    code, _, _ = await sonde(*arguments)
    assert code == 2


@pytest.mark.parametrize(
    "words", ["report", "sessions", "sessions ls", "sessions show", "sessions replay", "sessions export"]
)
async def test_every_action_helps_with_examples(words: str) -> None:
    code, output, _ = await sonde(*words.split(), "--help")
    assert code == 0
    assert f"examples:\n  sonde {words}" in output


def _files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def _raw(event: bus.AnyEvent) -> msgspec.Raw:
    return codec.raw(event)


def _until(terminal: int, text: bytes) -> None:
    said = b""
    while text not in said:
        said += os.read(terminal, 4096)
