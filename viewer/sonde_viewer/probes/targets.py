"""Which processes a probe is for, as people write it: `--on service=checkout --on version=2`, or `--on 'prod/shop-*'`."""

from collections.abc import Sequence

from sonde_viewer.errors import InvalidProbe
from sonde_wire import Selector
from sonde_wire.probes import Target

_LEVELS = ("namespace", "service", "instance")


def target(words: Sequence[str], canaries: int | None) -> Target:
    """`namespace`, `service` and `instance` are the levels of a process's name, any other key is a label; a word
    without `=` is a selector. Raises `InvalidProbe` or `InvalidAddress`."""
    levels: dict[str, str] = {}
    labels: dict[str, str] = {}
    selectors: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            selectors.append(word)
        elif not key or not value:
            raise InvalidProbe(f"--on {word!r} lacks something: use KEY=VALUE, such as service=checkout")
        else:
            kept = levels if key in _LEVELS else labels
            if kept.get(key, value) != value:
                raise InvalidProbe(f"--on names {key} twice, and no process has both; use one")
            kept[key] = value
    if len(selectors) > 1 or (selectors and levels):
        raise InvalidProbe(
            "--on takes one selector, such as prod/checkout/*, or its levels, such as service=checkout, not both"
        )
    selector = Selector.parse(selectors[0]) if selectors else Selector(**levels)
    return Target(selector=str(selector), labels=labels, canaries=canaries)


def shown(wanted: Target) -> str:
    """It in a few words."""
    labels = "".join(f" {key}={value}" for key, value in wanted.labels.items())
    canaries = f", {wanted.canaries} of them" if wanted.canaries else ""
    return f"{wanted.selector}{labels}{canaries}"
