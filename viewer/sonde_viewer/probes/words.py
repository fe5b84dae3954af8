"""How people write times, rates, shares, limits and the ids of snapshots; for argparse."""

import argparse
import math
import re
from collections.abc import Callable

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PER = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 86_400.0


def lifetime(text: str) -> float:
    """Seconds, of `90`, `30m` or `1h30m`."""
    parts = re.findall(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", text)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90, 30m or 1h30m")
    if not 1 <= total <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1s and 24h")
    return total


def rate(text: str) -> float:
    """Hits a second, of `5/s`, `30/m` or `5`."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(?:/([smh]))?", text)
    number = float(found[1]) / _PER[found[2] or ""] if found else 0.0
    if not 0 < number <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate such as 5/s or 30/m (at most 10000/s)")
    return number


def share(text: str) -> float:
    """A part of the whole, of `10%` or `0.1`."""
    try:
        number = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 10% or 0.1")
    return number


def between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return number


def capture_time(text: str) -> float:
    """Seconds, at most 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to 1, such as 0.05")
    return number


def snapshot(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{12}-[1-9]\d{0,15}", text, re.ASCII):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no snapshot's id such as 0123456789ab-42 (`sonde snap ls` lists them)"
        )
    return text
