"""What a comparison yields: named figures with units, ratios first. Nothing here is asserted; machines differ."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    """`ratio` for a quotient of two medians; otherwise ms, us, ns, MiB, percent."""


@dataclass(frozen=True)
class Report:
    title: str
    peer: str
    figures: Sequence[Figure] = field(default_factory=tuple)

    def ordered(self) -> list[Figure]:
        return sorted(self.figures, key=lambda figure: figure.unit != "ratio")

    def as_json(self) -> str:
        body = {"title": self.title, "peer": self.peer, "figures": [asdict(each) for each in self.ordered()]}
        return json.dumps(body)

    def as_table(self) -> str:
        width = max((len(each.name) for each in self.figures), default=0)
        lines = [f"{self.title}  (peer: {self.peer})"]
        lines += [f"  {each.name:<{width}}  {each.value:>10.3f} {each.unit}" for each in self.ordered()]
        return "\n".join(lines)


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample at `share` (0 to 1) of the sorted samples."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)
