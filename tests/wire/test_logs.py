"""What a line of the log is, and where it goes."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sonde_wire import Code, logs
from sonde_wire.facts import facts, trace_of
from sonde_wire.logs import LogSettings

logger = logging.getLogger("sonde_test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    ours, root.handlers = root.handlers, handlers
    root.setLevel(level)
    for handler in ours:
        if handler not in handlers:
            with suppress(OSError):  # a full disk; logging's own end suppresses it too
                handler.close()


def set_up(**settings: Any) -> None:
    """As in a program; here the root logger is pytest's."""
    logging.getLogger().handlers = []
    logs.set_up(LogSettings(**settings))


def test_who_has_set_up_logging_is_left_alone() -> None:
    before = logging.getLogger().handlers[:]
    logs.set_up(LogSettings(format="json"))
    assert logging.getLogger().handlers == before != []


def test_a_line_names_process_and_cause(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    logs.of_process(logger, "prod/shop/1", cause="c-17").info("the session of %s is open", "ada")
    assert capsys.readouterr().err.endswith(
        " INFO sonde_test: prod/shop/1: the session of ada is open (c-17)\n"
    )


def test_a_line_of_json_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(format="json")
    logs.of_process(logger, "prod/shop/1").warning("look\n%s", "here")
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "sonde_test",
        "message": "look\nhere",
        "process": "prod/shop/1",
    }


def test_facts_are_fields_of_json_and_not_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(format="json")
    said = facts(viewer="v1", subject="ada", code=Code.NOT_FOUND, reason=None, level="forged")
    logger.info("ada left", extra=said)
    logs.of_process(logger, "prod/shop/1").info("ada left it", extra=said)
    left, left_it = map(json.loads, capsys.readouterr().err.splitlines())
    for line in (left, left_it):
        assert (line["viewer"], line["subject"], line["code"]) == ("v1", "ada", "not_found")
        assert line["level"] == "info"
        assert "reason" not in line
    assert left_it["process"] == "prod/shop/1"
    set_up()
    logger.info("ada left", extra=said)
    assert capsys.readouterr().err.endswith("ada left\n")


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_trace_of_a_caller_is_read_by_the_letter(traceparent: str, trace: str | None) -> None:
    assert trace_of(traceparent) == trace


def test_an_error_is_told_by_its_type_and_traced_where_we_are_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(format="json")
    try:
        raise ValueError("no")
    except ValueError:
        logger.info("as expected", exc_info=True)
        logger.exception("not expected")
    expected, unexpected = map(json.loads, capsys.readouterr().err.splitlines())
    assert expected["error"] == unexpected["error"] == "ValueError"
    assert "traceback" not in expected
    assert "ValueError: no" in unexpected["traceback"]


def test_what_a_process_says_does_not_look_like_a_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    logger.info("%s", "x\n2026 ERROR forged\x1b[31m")
    assert capsys.readouterr().err.endswith("x\\n2026 ERROR forged\\x1b[31m\n")


def test_a_file_gets_everything_and_a_shared_console_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(file=str(tmp_path / "log"), quiet=True)
    logger.info("a person did something")
    logger.warning("a person should look")
    assert (tmp_path / "log").read_text().count("\n") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST_FILE", 200)
    set_up(file=str(tmp_path / "log"))
    for _ in range(50):
        logger.info("x" * 100)
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["log", "log.1", "log.2", "log.3"]
    assert all(each.stat().st_size <= 200 for each in files)


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(logs.NoLogFile, match="cannot be opened: No such file"):
        set_up(file=str(tmp_path / "no" / "log"))


def test_a_full_disk_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(file="/dev/full")
    logger.info("one")
    logger.info("two")
    assert capsys.readouterr().err.count("cannot be written") == 1
