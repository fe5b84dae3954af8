"""What a comparison yields: named figures with units, ratios first. Nothing here is asserted; machines differ."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    """`ratio` for a quotient of two medians; otherwise ms, us, ns, MiB, percent, and what has a name of its own."""
    goal: str = ""
    """What it is meant to be, in words; printed beside it."""


@dataclass(frozen=True)
class Report:
    title: str
    peer: str
    figures: Sequence[Figure] = field(default_factory=tuple)

    def ordered(self) -> list[Figure]:
        return sorted(self.figures, key=lambda figure: figure.unit != "ratio")

    def as_json(self) -> str:
        figures = [_without_empty(asdict(each)) for each in self.ordered()]
        return json.dumps({"title": self.title, "peer": self.peer, "figures": figures})

    def as_table(self) -> str:
        width = max((len(each.name) for each in self.figures), default=0)
        lines = [f"{self.title}  (peer: {self.peer})"]
        for each in self.ordered():
            goal = f"  (goal: {each.goal})" if each.goal else ""
            lines.append(f"  {each.name:<{width}}  {each.value:>10.3f} {each.unit}{goal}")
        return "\n".join(lines)


def _without_empty(figure: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figure.items() if value != ""}


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample at `share` (0 to 1) of the sorted samples."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)
