"""How people write a time of the past: `10m`, `1h30m`, `2d` ago, `14:30`, or a date. Pure."""

import re
from datetime import datetime, timedelta

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_LONGEST = 3650 * 86_400.0


def ago(text: str) -> float | None:
    """Seconds, of `90s`, `10m`, `1h30m`, `2d` or `1w`; None when it is no such thing."""
    parts = re.findall(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return total if 0 < total <= _LONGEST else None


def moment(text: str, now: datetime) -> float | None:
    """Seconds since the epoch. A time alone is the last one that was; what names no zone is in that of `now`."""
    if (seconds := ago(text)) is not None:
        return now.timestamp() - seconds
    if found := re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text):
        hour, minute, second = (int(each or 0) for each in found.groups())
        if hour > 23 or minute > 59 or second > 59:
            return None
        then = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        return (then if then <= now else then - timedelta(days=1)).timestamp()
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (then if then.tzinfo is not None else then.replace(tzinfo=now.tzinfo)).timestamp()
