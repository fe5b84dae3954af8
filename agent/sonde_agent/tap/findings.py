"""The findings of a diagnosis, as fields of the wire's `Finding`. Each message says what to do next."""

from sonde_agent.tap.identity import plain

Found = dict[str, str]


def fine(check: str, message: str) -> Found:
    return {"check": check, "level": "fine", "message": plain(message)}


def note(check: str, message: str) -> Found:
    return {"check": check, "level": "note", "message": plain(message)}


def problem(check: str, message: str) -> Found:
    return {"check": check, "level": "problem", "message": plain(message)}
