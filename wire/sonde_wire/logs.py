"""How Sonde's programs log: text for people or JSON for machines, to the console and to a file that stays small.

    set_up(LogSettings(level="info", file="/var/log/sonde.log", format="json"))
    log = of_process(logging.getLogger(__name__), "prod/shop/1", cause="c-17")
    log.info("the session of %s is open", viewer, extra=facts.facts(viewer=viewer))

info: a person did something; warning: a person should look; error: Sonde is wrong. A line of JSON:

    {"time": "2026-05-04T12:00:00.123Z", "level": "info", "logger": "...", "message": "...",
     "process": "prod/shop/1", "cause": "c-17", "viewer": "v-1", "error": "ValueError", "traceback": "..."}

`process` and `cause` are there where they are known, `error` where one is logged, and its traceback from level error
on; the rest are the line's `facts`. Control characters in messages are escaped: what a process says must not look
like a line of ours.
"""

import json
import logging
import logging.handlers
import os
import sys
import time
import traceback
from collections.abc import MutableMapping
from io import TextIOWrapper
from typing import Any, Literal

from msgspec import Struct

from sonde_wire import facts
from sonde_wire.errors import WireError

LARGEST_FILE = 10 * 1024 * 1024
"""Bytes; then it becomes FILE.1, and so on."""
OLDER_FILES = 3


class NoLogFile(WireError):
    def __init__(self, file: str, problem: str) -> None:
        super().__init__(file, problem)
        self.file = file
        self.problem = problem

    def __str__(self) -> str:
        return f"the log file {self.file} cannot be opened: {self.problem}"


class LogSettings(Struct, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str | None = None
    """`{pid}` in it becomes the process id: two programs must not write one file."""
    format: Literal["text", "json"] = "text"
    quiet: bool = False
    """The console is shared with a program of somebody's: it gets warnings and errors only, where there is a file."""


def set_up(settings: LogSettings) -> None:
    """Once, at a program's start; does nothing where somebody else has set logging up. Raises `NoLogFile`."""
    if logging.getLogger().handlers:
        return
    formatter = JsonLines() if settings.format == "json" else TextLines()
    level = getattr(logging, settings.level.upper())
    console = logging.StreamHandler(sys.stderr)
    handlers: list[logging.Handler] = [console]
    if settings.file:
        handlers.append(_open(settings.file.replace("{pid}", str(os.getpid()))))
        if settings.quiet:
            console.setLevel(max(level, logging.WARNING))
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=handlers)


def _open(file: str) -> logging.Handler:
    try:
        return _File(file)
    except OSError as error:
        raise NoLogFile(file, error.strerror or "") from None


class _Context(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return msg, kwargs


def of_process(
    logger: logging.Logger, process: str, cause: str | None = None
) -> "logging.LoggerAdapter[logging.Logger]":
    """Every line names the process, and what caused it."""
    # `process` is taken: LogRecord keeps the number of the operating system's process there
    return _Context(logger, {"sonde_process": process, "sonde_cause": cause})


class TextLines(logging.Formatter):
    """2026-05-04 12:00:00,123 INFO sonde_agent.sidecar: prod/shop/1: message (c-17)"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        process, cause = _context(record)
        message = escaped(record.message)
        if process:
            message = f"{process}: {message}"
        if cause:
            message = f"{message} ({cause})"
        record.message = message
        return super().formatMessage(record)


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        process, cause = _context(record)
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{at}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if process:
            line["process"] = process
        if cause:
            line["cause"] = cause
        for name, value in getattr(record, facts.ATTRIBUTE, {}).items():
            line.setdefault(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = type(error).__name__
            if record.levelno >= logging.ERROR:
                line["traceback"] = "".join(traceback.format_exception(error))
        return json.dumps(line, default=str)


def escaped(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _context(record: logging.LogRecord) -> tuple[str | None, str | None]:
    return getattr(record, "sonde_process", None), getattr(record, "sonde_cause", None)


class _File(logging.handlers.RotatingFileHandler):
    """Readable for this user only. A full disk is told once, not with a traceback for each line."""

    _told = False

    def __init__(self, file: str) -> None:
        super().__init__(file, maxBytes=LARGEST_FILE, backupCount=OLDER_FILES, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return open(handle, "a", encoding=self.encoding)  # noqa: PTH123 - a descriptor; closed by logging

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            sys.stderr.write(f"sonde: the log file {self.baseFilename} cannot be written\n")
