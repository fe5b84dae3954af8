"""`sonde snap`, `log`, `count`, `time`, `watch` and `probes`, against the fake broker."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from sonde_viewer.commands import following
from sonde_viewer.screen import clock
from sonde_wire import Reason, codec, rpc
from sonde_wire.probes import (
    Capture,
    Counter,
    FunctionPlace,
    Gauge,
    Histogram,
    LinePlace,
    Log,
    OnException,
    ProbeSpec,
    ProbeStatus,
    Snapshot,
    Target,
    Timer,
    Watch,
)
from tests.viewer.fake_broker import BOOT, SHOP, TOKEN, FakeBroker, refusal
from tests.viewer.probing import (
    EVIL,
    ID,
    INFO,
    MEASURED,
    OTHER,
    PROBE,
    SPENT,
    STATUS,
    Desk,
    changed,
    logged,
    number,
    rich,
    taken,
    text,
    watched,
)
from tests.viewer.test_looking_commands import sonde

LINE = LinePlace(path="shop/cart.py", line=4)
SNAPSHOT = f"{BOOT[:12]}-1"


@pytest.fixture
def desk(broker: FakeBroker) -> Desk:
    return Desk(broker)


async def asked(desk: Desk, *arguments: str) -> ProbeSpec:
    """What that command line asks the broker for."""
    code, _, errors = await sonde(*arguments, broker=desk.broker)
    assert (code, errors) == (0, "")
    return desk.added


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("snap", "add", "shop/cart.py:4"), ProbeSpec(kind=Snapshot(), place=LINE)),
        (
            ("snap", "add", "shop/cart.py:4", "n", "len(lines)"),
            ProbeSpec(kind=Snapshot(expressions=("n", "len(lines)")), place=LINE),
        ),
        (
            ("snap", "add", "shop/cart.py:4", "n", "--if", "n > 2", "m", "k", "--wait", "1"),
            ProbeSpec(kind=Snapshot(expressions=("n", "m", "k")), place=LINE, condition="n > 2"),
        ),
        (
            ("count", "add", "shop/cart.py:4", "--wait", "1", "n"),
            ProbeSpec(kind=Counter(expression="n"), place=LINE),
        ),
        (
            ("snap", "add", "--exception", "ValueError", "--exception", "shop.Gone"),
            ProbeSpec(kind=OnException(types=("ValueError", "shop.Gone"))),
        ),
        (("snap", "add", "--uncaught"), ProbeSpec(kind=OnException())),
        (
            ("snap", "add", "shop.cart:total", "--exception", "KeyError"),
            ProbeSpec(
                kind=OnException(types=("KeyError",)),
                place=FunctionPlace(module="shop.cart", function="total"),
            ),
        ),
        (
            ("log", "add", "shop/cart.py:4", "n={n}"),
            ProbeSpec(kind=Log(template="n={n}"), place=LINE),
        ),
        (("count", "add", "shop/cart.py:4"), ProbeSpec(kind=Counter(), place=LINE)),
        (("count", "add", "shop/cart.py:4", "n"), ProbeSpec(kind=Counter(expression="n"), place=LINE)),
        (
            ("count", "add", "shop/cart.py:4", "n", "--gauge"),
            ProbeSpec(kind=Gauge(expression="n"), place=LINE),
        ),
        (
            ("count", "add", "shop/cart.py:4", "n", "--histogram"),
            ProbeSpec(kind=Histogram(expression="n"), place=LINE),
        ),
        (
            ("time", "add", "shop.cart:total"),
            ProbeSpec(kind=Timer(), place=FunctionPlace(module="shop.cart", function="total")),
        ),
        (("time", "add", "shop/cart.py:4", "--until", "9"), ProbeSpec(kind=Timer(until=9), place=LINE)),
        (("watch", "add", "shop/cart.py:4", "n"), ProbeSpec(kind=Watch(expression="n"), place=LINE)),
    ],
)
async def test_each_verb_asks_for_its_kind(desk: Desk, arguments: tuple[str, ...], meant: ProbeSpec) -> None:
    assert await asked(desk, *arguments) == meant


async def test_every_option_of_a_snapshot_is_asked_for(desk: Desk) -> None:
    words = (
        "snap add shop/cart.py:4 --on service=checkout --on version=2 --canaries 3 --if n>2 --ttl 30m --hits 7 --rate 5/s "
        "--burst 9 --sample 10% --name slow --python --repr --depth 2 --items 10 --length 50 --fields 5 --size 1024 "
        "--seconds 0.1 --frames 8 --frames-with-locals 2"
    )
    assert await asked(desk, *words.split()) == ProbeSpec(
        kind=Snapshot(),
        place=LINE,
        target=Target(selector="*/checkout/*", labels={"version": "2"}, canaries=3),
        name="slow",
        condition="n>2",
        python=True,
        calls_user_code=True,
        sample=0.1,
        max_hits=7,
        rate=5.0,
        burst=9,
        ttl=1800.0,
        capture=Capture(
            depth=2, items=10, length=50, fields=5, size=1024, seconds=0.1, frames=8, frames_with_locals=2
        ),
    )


@pytest.mark.parametrize(
    "words",
    [
        "snap add",
        "snap add --uncaught --exception ValueError",
        "snap add shop.py:3 n --exception ValueError",
        "snap add shop.py:3 --rm",
        "snap add shop.py",
        "snap add shop.py:3 --depth 11",
        "snap add shop.py:3 --seconds 2",
        "snap add shop.py:3 --ttl 2d",
        "snap add shop.py:3 --sample 0",
        "snap add shop.py:3 --wait -1",
        "snap add shop.py:3 --on a=1 --on a=2",
        "snap add shop.py:3 --on No/Such",
        "snap add shop.py:3 import",
        "snap add " + "shop.py:3" + " n" * 21,
        "snap add shop.py:3 --name " + "x" * 101,
        "snap",
        "snap ls --limit 0",
        "snap diff 0123456789ab-1",
        "snap show garbage",
        "snap add shop.py:3 --no-such-option n",
        "count add shop.py:3 n --wait 1 m",
        "log add shop.py:3 x --wait 1 y",
        "log add shop.py:3",
        "log add shop.py:3 {n --rate 1",
        "count add shop.py:3 --gauge",
        "count add shop.py:3 n --gauge --histogram",
        "time add shop:main:exit",
        "time add shop:main --until 9",
        "time add shop.py:9 --until 9",
        "time add shop.py:3 --depth 2",
        "watch add shop.py:3",
        "probes rm",
        "probes rm --all a b",
        "probes show",
    ],
)
async def test_a_usage_error_is_exit_2_and_asks_nobody(desk: Desk, words: str) -> None:
    code, output, errors = await sonde(*words.split(), broker=desk.broker)
    assert (code, output) == (2, "")
    assert errors
    assert desk.broker.requests == []


async def test_a_mistake_in_a_condition_is_marked_before_anything_is_sent(desk: Desk) -> None:
    code, _, errors = await sonde(
        "snap", "add", "shop.py:3", "--if", "n > 2 and os.system('x')", broker=desk.broker
    )
    assert code == 2
    assert "  n > 2 and os.system('x')\n" in errors
    assert "^" in errors
    assert desk.broker.requests == []


async def test_adding_says_the_line_the_id_and_how_many_have_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "cart.py").write_text("\n\n\n    total = price * count\n")
    monkeypatch.chdir(tmp_path)
    pending = ProbeStatus(id=ID, state="pending", message="shop.cart is not loaded")
    desk.info = replace(
        INFO, totals=rpc.ProbeTotals(processes=40, installed=37, pending=3), probe=replace(PROBE)
    )
    desk.statuses += [rpc.ProbeInProcess(process=f"a/shop/{number}", status=pending) for number in range(4)]
    code, output, errors = await sonde("snap", "add", "./shop/cart.py:4", broker=desk.broker)
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "shop/cart.py:4  total = price * count",
        f"probe {ID}  snapshot shop/cart.py:4 on */*/*, for 1h",
        "installed 37/40; 3 pending",
        "  a/shop/0, a/shop/1, a/shop/2 and 1 more: pending: shop.cart is not loaded",
    ]


async def test_adding_waits_for_the_processes_to_say_something(desk: Desk) -> None:
    desk.statuses = [rpc.ProbeInProcess(process=SHOP.process)]

    async def answer_later() -> None:
        await desk.broker.was_asked("probe.show", 2)
        desk.statuses = [rpc.ProbeInProcess(process=SHOP.process, status=STATUS)]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer_later())
        code, output, _ = await sonde(
            "snap", "add", "shop.py:3", "--wait", "20", "--json", broker=desk.broker
        )
    assert code == 0
    assert codec.decode(output, rpc.ProbeDetail).processes[0].status == STATUS


async def test_adding_does_not_wait_for_ever(desk: Desk) -> None:
    desk.statuses = [rpc.ProbeInProcess(process=SHOP.process)]
    desk.info = replace(INFO, totals=rpc.ProbeTotals(processes=1, unheard=1))
    _, output, _ = await sonde("snap", "add", "shop.py:3", "--wait", "0", broker=desk.broker)
    assert "installed 0/1; 1 not heard of" in output
    assert len(desk.broker.asked("probe.show")) == 1


async def test_a_probe_that_fails_everywhere_is_exit_1(desk: Desk) -> None:
    wrong = ProbeStatus(id=ID, state="error", message=f"two files end so: /a and {EVIL}")
    desk.statuses = [rpc.ProbeInProcess(process=SHOP.process, status=wrong)]
    desk.info = replace(INFO, totals=rpc.ProbeTotals(processes=1, error=1))
    code, output, _ = await sonde("snap", "add", "shop.py:3", broker=desk.broker)
    assert code == 1
    assert f"{SHOP.process}: error: two files end so: /a and \\x1b[2Jboo" in output


async def test_a_probe_for_nobody_yet_says_who_gets_it(desk: Desk) -> None:
    desk.info = replace(INFO, totals=rpc.ProbeTotals())
    desk.statuses = []
    code, output, _ = await sonde("log", "add", "shop.py:3", "x", broker=desk.broker)
    assert code == 0
    assert "one that starts gets it" in output


async def test_a_refusal_is_exit_1_and_its_sentence(desk: Desk) -> None:
    desk.broker.answers["probe.add"] = lambda _: refusal(Reason.MISSING_SCOPE)
    code, output, errors = await sonde("snap", "add", "shop.py:3", broker=desk.broker)
    assert (code, output, errors) == (1, "", "sonde: not for you; ask somebody else\n")


async def test_following_prints_results_and_ends_after_so_many(desk: Desk) -> None:
    desk.kept = [taken(1, n=number(1))]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(
            sonde("snap", "add", "shop.py:3", "--count", "4", "--rm", broker=desk.broker)
        )
        await desk.broker.was_asked("subscribe", 2)
        await desk.tells(
            changed(2, replace(STATUS, state="throttled", message="more than 1 a second")),
            logged(3, EVIL),
            replace(taken(4), captured=rich(n=number(2))),
        )
        await desk.tells(watched(5))
    code, output, errors = running.result()
    assert (code, errors) == (0, "")
    lines = output.splitlines()[2:]
    assert SNAPSHOT in lines[0]
    assert lines[1] == "    n = 1"
    assert f"probe {ID} is throttled: more than 1 a second" in lines[2]
    assert lines[3].endswith("\\x1b[2Jboo")
    assert "ValueError" in lines[4]
    assert lines[5:8] == ["    len(lines) = 2", "    lines[9]  failed: there is no such item", "    n = 2"]
    assert lines[8].endswith("n: 2 at x.py:4")
    assert desk.removed == [ID]


async def test_following_as_json_is_one_document_a_line(desk: Desk) -> None:
    desk.kept = [taken(1, n=number(1)), logged(2)]
    code, output, _ = await sonde("snap", "add", "shop.py:3", "--count", "2", "--json", broker=desk.broker)
    assert code == 0
    detail, snapshot, log = [json.loads(line) for line in output.splitlines()]
    assert detail["info"]["probe"]["id"] == ID
    assert (snapshot["type"], snapshot["id"]) == ("snapshot_taken", SNAPSHOT)
    assert log["message"] == "n=1"
    assert desk.removed == []


async def test_following_ends_when_the_probe_does(desk: Desk) -> None:
    desk.knows(INFO)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sonde("probes", "show", ID, "-f", broker=desk.broker))
        await desk.broker.was_asked("subscribe", 2)
        await desk.ends()
    code, _, errors = running.result()
    assert (code, errors) == (0, f"sonde: probe {ID} is over\n")


@pytest.mark.parametrize("options", [(), ("--rm",)])
async def test_following_ends_when_all_have_had_their_hits_and_says_what_becomes_of_the_probe(
    desk: Desk, options: tuple[str, ...]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sonde("snap", "add", "shop.py:3", "-f", *options, broker=desk.broker))
        await desk.broker.was_asked("probe.results")
        await desk.tells(taken(1, n=number(1)), changed(2, SPENT))
        await desk.counts(processes=1, expired=1, hits=100)
    code, output, errors = running.result()
    assert code == 0
    assert "it had its 100 hits" in output.splitlines()[-1]
    said = "sonde: the process that has it has reached max_hits"
    stays = f"; the probe stays for late comers until {clock(4600)[:8]}; `sonde probes rm {ID}` removes it"
    assert errors == f"{said}{'' if options else stays}\n"
    assert desk.removed == ([ID] if options else [])


async def test_what_was_lost_on_the_way_is_told(desk: Desk) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sonde("log", "add", "shop.py:3", "x", "--count", "1", broker=desk.broker))
        await desk.broker.was_asked("probe.results")
        await desk.broker.notify("gap", rpc.Gap(process=SHOP.process, boot=BOOT, first=1, last=3))
        await desk.tells(logged(4))
    assert "3 events were lost" in running.result()[2]


async def test_what_only_counts_is_followed_by_its_figures(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_EACH", 0.01)
    desk.statuses = [rpc.ProbeInProcess(process=SHOP.process, status=replace(STATUS, measured=MEASURED))]

    async def count_on() -> None:
        await desk.broker.was_asked("probe.show", 3)
        more = replace(STATUS, measured=replace(MEASURED, count=5))
        desk.statuses = [rpc.ProbeInProcess(process=SHOP.process, status=more)]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(count_on())
        code, output, _ = await sonde("time", "add", "shop:main", "--count", "2", broker=desk.broker)
    assert code == 0
    first, second = output.splitlines()[-2:]
    assert "count 4  total 500.00 ms  last 100.00 ms  least 4.2 us  p50 100.00 ms" in first
    assert "count 5" in second
    _, output, _ = await sonde("count", "add", "shop.py:3", "--count", "1", "--json", broker=desk.broker)
    assert json.loads(output.splitlines()[-1])["measured"]["count"] == 5


async def test_counting_ends_with_the_last_hit(desk: Desk) -> None:
    desk.info = replace(INFO, totals=rpc.ProbeTotals(processes=3, expired=2, error=1))
    nowhere = replace(STATUS, state="error", message="two files end so", places=())
    spent = replace(SPENT, hits=4, measured=MEASURED)
    desk.statuses = [
        rpc.ProbeInProcess(process=f"prod/shop/web-{number}", status=status)
        for number, status in enumerate((spent, spent, nowhere))
    ]
    code, output, errors = await sonde("count", "add", "a.py:3", "-f", "--hits", "4", broker=desk.broker)
    assert (code, output.count("count 4")) == (0, 2)
    assert errors.startswith(
        "sonde: all 2 processes that have it have reached max_hits (1 could not have it); the probe stays"
    )


async def test_counting_ends_when_the_probe_does(desk: Desk) -> None:
    desk.info = replace(INFO, state="removed")
    code, _, errors = await sonde("count", "add", "shop.py:3", "-f", broker=desk.broker)
    assert (code, errors) == (0, f"sonde: probe {ID} is over\n")


@pytest.mark.parametrize(
    ("options", "removed", "said"),
    [(("--rm",), [ID], ""), ((), [], f"sonde: the probe stays; to remove it: sonde probes rm {ID}\n")],
)
async def test_ctrl_c_ends_following_and_removes_the_probe_or_says_how(
    desk: Desk, options: tuple[str, ...], removed: list[str], said: str
) -> None:
    variables = {"SONDE_URL": desk.broker.url, "SONDE_TOKEN": TOKEN, "PATH": ""}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sonde_viewer", "log", "add", "shop.py:3", "x", "-f", *options),
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        await desk.broker.was_asked("subscribe", 2)
        await desk.tells(logged(1, "hello"))
        while line := await process.stdout.readline():
            if b"hello" in line:
                break
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, errors.decode()) == (130, said)
    assert desk.removed == removed


async def test_a_probe_that_cannot_be_removed_at_the_end_is_told(desk: Desk) -> None:
    desk.kept = [logged(1)]
    desk.broker.answers["probe.remove"] = lambda _: refusal()
    code, _, errors = await sonde("log", "add", "a.py:3", "x", "--count", "1", "--rm", broker=desk.broker)
    assert (code, errors) == (0, f"sonde: probe {ID} was not removed: not for you; ask somebody else\n")
    desk.broker.answers["probe.remove"] = lambda _: refusal(Reason.UNKNOWN_PROBE)
    _, _, errors = await sonde("log", "add", "a.py:3", "x", "--count", "1", "--rm", broker=desk.broker)
    assert errors == ""


async def test_probes_are_a_table_with_totals(desk: Desk) -> None:
    spec = replace(PROBE.spec, name=EVIL, kind=Log(template="n={n}"), condition="n > 2")
    totals = rpc.ProbeTotals(processes=40, installed=37, pending=2, error=1, hits=123)
    desk.knows(rpc.ProbeInfo(probe=replace(PROBE, spec=spec), totals=totals), replace(INFO, state="removed"))
    code, output, errors = await sonde("probes", "ls", "shop", "--ended", broker=desk.broker)
    assert (code, errors) == (0, "")
    assert desk.broker.asked("probe.list") == [rpc.ListProbes(selector="*/shop/*", ended=True)]
    head, first, second = output.splitlines()
    assert head.split()[:3] == ["ID", "NAME", "WHAT"]
    assert first.startswith(f"{ID}  \\x1b[2Jboo  log shop/cart.py:4  n={{n}} if n > 2  ")
    assert "37/40" in first
    assert "123" in first
    assert first.rstrip().endswith("2 pending, 1 error")
    assert "removed" in second
    _, output, _ = await sonde("probes", "ls", "--json", broker=desk.broker)
    assert len(codec.decode(output, rpc.ProbeList).probes) == 2


async def test_no_probes_say_how_to_set_one(desk: Desk) -> None:
    code, output, errors = await sonde("probes", "ls", broker=desk.broker)
    assert (code, output) == (0, "")
    assert "sonde snap add" in errors


async def test_a_probe_is_shown_process_by_process_with_reasons_and_figures(desk: Desk) -> None:
    spec = replace(PROBE.spec, kind=Timer(until=9), name="slow", sample=0.5, max_hits=7, rate=2.0)
    desk.info = replace(INFO, probe=replace(PROBE, spec=spec))
    desk.knows(desk.info)
    status = replace(
        STATUS,
        state="suspended",
        message="it used 1.4 % of a core",
        measured=MEASURED,
        cpu=0.014,
        failures=12,
        failure="there is no name 'x'",
        engine="rewriting",
        last_hit=1.0,
    )
    desk.statuses = [
        rpc.ProbeInProcess(process=SHOP.process, status=status),
        rpc.ProbeInProcess(process="a/shop/2"),
    ]
    code, output, _ = await sonde("probes", "show", "slow", broker=desk.broker)
    assert code == 0
    assert f"probe {ID} slow: timer shop/cart.py:4 until line 9" in output
    assert "at most 7 hits and 2 hits a second; 50 % of the hits count" in output
    (row,) = [line for line in output.splitlines() if line.startswith(SHOP.process) and "/app" in line]
    assert "1.40" in row
    assert "500.00 ms" in row
    assert "4.2 us" in row
    assert row.rstrip().endswith("/app/shop/cart.py:4")
    assert f"{SHOP.process}: suspended: it used 1.4 % of a core" in output
    assert f"{SHOP.process}: 12 hits failed, the last one: there is no name 'x'" in output
    assert "a/shop/2: not heard of" in output
    assert "docs/probes.md" in output
    _, output, _ = await sonde("probes", "show", ID[:4], "--json", broker=desk.broker)
    assert codec.decode(output, rpc.ProbeDetail).processes[0].status == status


async def test_a_probe_that_nobody_knows_is_exit_1(desk: Desk) -> None:
    code, _, errors = await sonde("probes", "show", "nothing", broker=desk.broker)
    assert code == 1
    assert "sonde probes ls" in errors


async def test_probes_are_removed_and_one_that_cannot_be_keeps_no_other(desk: Desk) -> None:
    desk.knows(replace(INFO, probe=replace(PROBE, id=OTHER)), INFO)
    code, output, errors = await sonde("probes", "rm", OTHER, ID, ID, broker=desk.broker)
    assert (code, output) == (1, f"removed {ID}\n")
    assert errors == f"sonde: {OTHER} was not removed: it is not yours\n"
    code, output, _ = await sonde("probes", "rm", ID[:3], "--json", broker=desk.broker)
    assert (code, json.loads(output)) == (0, {"removed": [ID]})


async def test_all_probes_of_a_selector_are_removed(desk: Desk) -> None:
    desk.knows(INFO)
    code, output, _ = await sonde("probes", "rm", "--all", "shop", broker=desk.broker)
    assert (code, output) == (0, f"removed {ID}\n")
    assert desk.broker.asked("probe.list") == [rpc.ListProbes(selector="*/shop/*")]
    desk.knows()
    code, _, errors = await sonde("probes", "rm", "--all", broker=desk.broker)
    assert (code, errors) == (0, "sonde: no probe is there\n")


async def test_snapshots_are_listed_shown_and_exported(desk: Desk, tmp_path: Path) -> None:
    desk.kept = [replace(taken(1), captured=rich(n=number(1)))]
    desk.knows(INFO, replace(INFO, probe=replace(PROBE, id=OTHER, spec=ProbeSpec(kind=Timer()))))
    desk.more = True
    code, output, errors = await sonde("snap", "ls", broker=desk.broker)
    assert (code, len(output.splitlines())) == (0, 2)
    assert "there were more" in errors
    assert output.splitlines()[1].startswith(SNAPSHOT)
    assert "cart.py:4 in total: ValueError: \\x1b[2Jboo" in output
    assert len(desk.broker.asked("probe.results")) == 1
    _, output, _ = await sonde("snap", "ls", ID[:4], "--json", broker=desk.broker)
    assert json.loads(output)["id"] == SNAPSHOT

    code, output, _ = await sonde("snap", "show", SNAPSHOT, broker=desk.broker)
    assert code == 0
    assert "n = 1" in output
    _, output, _ = await sonde("snap", "show", SNAPSHOT, "--json", broker=desk.broker)
    shown = json.loads(output)
    assert shown["captured"]["frames"][0]["locals"] == [["n", {"type": "int", "value": "1"}]]

    file = tmp_path / "snapshot.json"
    code, output, _ = await sonde("snap", "export", SNAPSHOT, "-o", str(file), broker=desk.broker)
    assert (code, json.loads(file.read_text())) == (0, shown)
    assert str(file) in output
    _, output, _ = await sonde("snap", "export", SNAPSHOT, broker=desk.broker)
    assert json.loads(output) == shown
    code, _, errors = await sonde("snap", "export", SNAPSHOT, "-o", str(tmp_path), broker=desk.broker)
    assert (code, "cannot be written" in errors) == (1, True)


async def test_two_snapshots_are_compared(desk: Desk) -> None:
    desk.kept = [taken(1, n=number(1)), taken(2, n=text("x")), taken(3, n=number(1))]
    other, same = f"{BOOT[:12]}-2", f"{BOOT[:12]}-3"
    code, output, _ = await sonde("snap", "diff", SNAPSHOT, other, broker=desk.broker)
    assert (code, output) == (0, "  /app/shop/cart.py:4 in total\n    n\n      - 1\n      + 'x'\n")
    _, output, _ = await sonde("snap", "diff", SNAPSHOT, other, "--json", broker=desk.broker)
    (frame,) = json.loads(output)["difference"]["frames"]
    assert frame["changes"][0]["name"] == "n"
    _, output, _ = await sonde("snap", "diff", SNAPSHOT, same, broker=desk.broker)
    assert "nothing differs" in output


async def test_a_snapshot_that_is_not_kept_is_exit_1(desk: Desk) -> None:
    code, _, errors = await sonde("snap", "show", SNAPSHOT, broker=desk.broker)
    assert (code, errors) == (1, "sonde: no snapshot is kept under that id\n")


async def test_no_snapshots_say_how_to_take_one(desk: Desk) -> None:
    code, output, errors = await sonde("snap", "ls", broker=desk.broker)
    assert (code, output) == (0, "")
    assert "sonde snap add" in errors


async def test_events_tell_of_probes(desk: Desk) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sonde("events", "--count", "3", broker=desk.broker))
        await desk.broker.was_asked("subscribe")
        await desk.tells(taken(1), logged(2, EVIL), changed(3, STATUS))
    _, output, _ = running.result()
    first, second, third = output.splitlines()
    assert f"snapshot {SNAPSHOT}, hit 1 of probe {ID}, at /app/shop/cart.py:4 in total" in first
    assert second.endswith(f"log of probe {ID}: \\x1b[2Jboo")
    assert third.endswith(f"probe {ID} is active at /app/shop/cart.py:4")


@pytest.mark.parametrize(
    "words",
    [
        *("snap", "snap add", "snap ls", "snap show", "snap diff", "snap export", "log", "log add"),
        *("count", "count add", "time", "time add", "watch", "watch add"),
        *("probes", "probes ls", "probes show", "probes rm"),
    ],
)
async def test_every_verb_and_action_helps_with_examples(words: str) -> None:
    code, output, _ = await sonde(*words.split(), "--help")
    assert code == 0
    assert f"examples:\n  sonde {words}" in output
