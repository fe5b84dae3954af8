"""What a command of the prompt came to."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Outcome(Struct, frozen=True):
    """`text` is for a terminal and harmless there; `data` is the same for programs."""

    command: str
    text: str
    data: Mapping[str, Any] = {}
    leave: bool = False
