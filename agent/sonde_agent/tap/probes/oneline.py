"""A node as one line of text, for messages."""

from typing import Any

MASK = "***"


def bounded(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(0, longest - 3)] + "..."


def of(node: dict[str, Any]) -> str:
    name: str = node["type"]
    if node.get("redacted"):
        return MASK
    if "value" in node:
        value: str = node["value"]
        return value + "..." if node.get("cut") == "length" else value
    if "items" in node:
        opening, closing = _BRACKETS.get(name, (f"{_last(name)}(", ")"))
        parts = [of(each) for each in node["items"]]
    elif "entries" in node:
        opening, closing = _BRACKETS.get(name, (f"{_last(name)}({{", "})"))
        parts = [f"{of(key)}: {of(each)}" for key, each in node["entries"]]
    elif "fields" in node:
        opening, closing = f"{_last(name)}(", ")"
        parts = [f"{field}={of(each)}" for field, each in node["fields"]]
    else:
        size = f" of {node['size']}" if "size" in node else ""
        note = f" {node['note']}" if "note" in node else ""
        return f"<{_last(name)}{size}{note}>"
    if "cut" in node:
        parts.append("...")
    return f"{opening}{', '.join(parts)}{closing}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


_BRACKETS = {"list": ("[", "]"), "tuple": ("(", ")"), "set": ("{", "}"), "dict": ("{", "}")}
