"""How a setting of the agent is found.

    an argument (`--lease 90`)  wins over  the environment (SONDE_LEASE)  wins over  the file (`lease = 90`)
    wins over  the default

The file is named by `--config` or SONDE_CONFIG and never looked for: a debugger that took its orders from any
working directory could be turned by whoever writes there. Labels are joined from all three, key by key.

`table` says which settings there are, `file` reads one file. The tap imports this package only where a file is named,
so it is standard library only.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sonde_agent.configuration.table import (
    BROKER_VARIABLES,
    BY_NAME,
    CONFIG_VARIABLE,
    INTERNAL_VARIABLES,
    LABELS,
    OTHER_VARIABLES,
    PREFIX,
    SETTINGS,
    InvalidConfiguration,
    Reader,
    shown,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

__all__ = [
    "BY_NAME",
    "CONFIG_VARIABLE",
    "OTHER_VARIABLES",
    "InvalidConfiguration",
    "add_options",
    "choose",
    "table_rows",
    "unknown_variables",
    "with_file",
]

_BY_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT(_.*)?)$|_PORT(_\d+_(TCP|UDP|SCTP).*)?$")
"""What Kubernetes sets in every container for a Service whose name begins with `sonde`."""


def add_options(parser: "ArgumentParser", reader: Reader) -> None:
    """An option for each setting that has one, and `--config`. The values stay text until `choose`."""
    parser.add_argument("--config", metavar="FILE", help="TOML, YAML or JSON; see docs/configuration.md")
    for setting in SETTINGS:
        if setting.argument and reader in setting.readers:
            parser.add_argument(
                setting.argument,
                dest=setting.name,
                metavar=setting.metavar,
                action="append" if setting.kind is LABELS else "store",
                help=f"{setting.help} (default: {setting.default_text})".replace("%", "%%"),
            )


def choose(
    reader: Reader,
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
    checks: Mapping[str, Callable[[str], object]] | None = None,
) -> dict[str, Any]:
    """The value of every setting of this reader, with defaults; None where there is neither. `arguments` are
    those that `add_options` made; `checks`, by name, know more of a value than this module may, and raise
    `ValueError`. Raises `InvalidConfiguration`, never with a secret in it."""
    texts = _texts(arguments, environment)
    chosen: dict[str, Any] = {}
    for setting in SETTINGS:
        if reader not in setting.readers:
            continue
        found = texts.get(setting.name, [])
        if not found:
            default = setting.default
            chosen[setting.name] = setting.kind.read(default) if isinstance(default, str) else default
        elif setting.kind is LABELS:
            chosen[setting.name] = {}
            for where, text in reversed(found):
                chosen[setting.name] |= setting.read(text, where)
        else:
            where, text = found[0]
            chosen[setting.name] = setting.read(text, where)
            try:
                (checks or {}).get(setting.name, str)(text)
            except ValueError as error:
                raise InvalidConfiguration(where, f"cannot be used: {error}") from None
    return chosen


def with_file(environment: Mapping[str, str], file: str | None = None) -> dict[str, str]:
    """The environment as if what the file says stood in it, where the environment does not say otherwise. `file`
    wins over SONDE_CONFIG. Raises `InvalidConfiguration`."""
    said = {BY_NAME[name].variable: text for name, (_, text) in _from_file(environment, file).items()}
    together = {**said, **{key: value for key, value in environment.items() if value or key not in said}}
    labels = BY_NAME["labels"].variable
    if labels in said and environment.get(labels):
        together[labels] = f"{said[labels]},{environment[labels]}"
    return together


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """A sentence for each variable that is most likely a setting misspelt. Other tools may set what begins with
    SONDE_ too, so only what is close to one of ours is told."""
    import difflib

    ours = [*(setting.variable for setting in SETTINGS), *OTHER_VARIABLES]
    sentences = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in ours:
            continue
        if name.startswith((*INTERNAL_VARIABLES, *BROKER_VARIABLES)):
            continue
        close = difflib.get_close_matches(name, ours, 1, 0.8)
        if close and not _BY_KUBERNETES.search(name):
            sentences.append(f"{name} is not a variable of Sonde: did you mean {close[0]}?")
    return sentences


def table_rows() -> Iterator[tuple[str, ...]]:
    """Of docs/configuration.md: the head, then a row for each setting."""
    yield "Key in the file", "Variable", "Option", "Read by", "Default", "What it is", "Allowed"
    for setting in SETTINGS:
        option = f"`{setting.argument} {setting.metavar}`" if setting.argument else ""
        yield (
            f"`{setting.name}`",
            f"`{setting.variable}`",
            option,
            ", ".join(setting.readers),
            setting.default_text,
            setting.help,
            setting.kind.allowed,
        )


def _texts(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """By name: where it is said and what, the first wins."""
    file = _from_file(environment, arguments.get("config"))
    texts: dict[str, list[tuple[str, str]]] = {}
    for setting in SETTINGS:
        given = arguments.get(setting.name)
        several = given if isinstance(given, list) else [] if given is None else [given]
        said = [(setting.argument or setting.name, str(text)) for text in reversed(several)]
        if text := environment.get(setting.variable):
            said.append((setting.variable, text))
        if setting.name in file:
            said.append(file[setting.name])
        texts[setting.name] = said
    return texts


def _from_file(environment: Mapping[str, str], file: str | None) -> dict[str, tuple[str, str]]:
    named = file or environment.get(CONFIG_VARIABLE)
    if not named:
        return {}
    if not file and not os.path.isabs(named):  # noqa: PTH117 - pathlib costs a program at start
        raise InvalidConfiguration(
            CONFIG_VARIABLE, f"is {shown(named)}: give an absolute path, because programs change directories"
        )
    from sonde_agent.configuration import file as configuration_file

    return configuration_file.read(named)
