"""Every setting of the agent: its name, what it may be, who reads it, and what it is for people.

Options, environment, file and the table in docs/configuration.md are made from `SETTINGS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Reader = Literal["tap", "run", "sidecar"]
"""Who reads a setting: the tap in a program, `sonde run` (for its own sidecar), `sonde sidecar`."""

CONFIG_VARIABLE = "SONDE_CONFIG"
PREFIX = "SONDE_"


class InvalidConfiguration(ValueError):
    """`where` says which file and key, variable or option; `problem` what is wrong and what is allowed."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.where} {self.problem}"


@dataclass(frozen=True)
class Kind:
    """`read` makes a value of text, and raises `ValueError` for what is not allowed. `types` are those that a file
    may have in the text's place."""

    read: Callable[[str], Any]
    allowed: str
    types: tuple[type, ...] = (str,)
    secret: bool = False
    """A wrong value is not repeated in messages."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    name: str
    """Its key in the file."""
    kind: Kind
    readers: tuple[Reader, ...]
    help: str
    default: Any = None
    otherwise: str = ""
    """What happens where there is no default."""
    argument: str | None = None
    metavar: str | None = None

    @property
    def variable(self) -> str:
        # a name of its own: the tap has had it from the start
        return "SONDE_SIDECAR_TOKEN_FILE" if self.name == "token_file" else PREFIX + self.name.upper()

    @property
    def default_text(self) -> str:
        if self.default is None:
            return self.otherwise
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    def read(self, text: str, where: str) -> Any:
        """`where` is the key, variable or option that the text is from. Raises `InvalidConfiguration`."""
        try:
            return self.kind.read(text)
        except ValueError:
            raise self.wrong(text, where) from None

    def wrong(self, value: object, where: str) -> InvalidConfiguration:
        problem = "cannot be used" if self.kind.secret else f"is {shown(value)}"
        return InvalidConfiguration(where, f"{problem}: give {self.kind.allowed}")


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError(text)
    return text


def _level(text: str) -> str:
    from sonde_agent.tap.identity import checked_level

    return checked_level("name", text)


def _sidecar(text: str) -> str:
    from sonde_agent.link import SidecarAddress

    return str(SidecarAddress.parse(text))


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, _text(text).split(","))))


def _labels(text: str) -> dict[str, str]:
    from sonde_agent.tap.identity import parse_labels

    return parse_labels(text)


def _yes_or_no(text: str) -> bool:
    if (word := text.lower()) not in {"yes", "no", "true", "false", "on", "off", "1", "0"}:
        raise ValueError(text)
    return word in {"yes", "true", "on", "1"}


def _percent(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(?:\.\d{1,4})?", text) or not 0.01 <= float(text) <= 100:
        raise ValueError(text)
    return float(text)


def _mode(text: str) -> int:
    if text not in {"0600", "0660", "0666"}:
        raise ValueError(text)
    return int(text, 8)


def _one_of(*words: str) -> Kind:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return Kind(read, f"one of {', '.join(words)}")


def _seconds(lowest: int, highest: int) -> Kind:
    def read(text: str) -> float:
        if not (parts := re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smh]?)", text)):
            raise ValueError(text)
        seconds = float(parts[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[parts[2]]
        if not lowest <= seconds <= highest:
            raise ValueError(text)
        return seconds

    return Kind(read, f"seconds, {lowest} to {highest}, such as {lowest * 3} or 2m", (int, float, str))


def _count(lowest: int, highest: int) -> Kind:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not lowest <= int(text) <= highest:
            raise ValueError(text)
        return int(text)

    return Kind(read, f"a whole number, {lowest} to {highest}", (int,))


_NAME = Kind(
    _level, "lower-case letters, digits, '.', '_' and '-', at most 63, a letter or digit at both ends"
)
_PATH = Kind(_text, "the path of a file")
_URL = Kind(_text, "a URL such as mqtt://user@host:1883 or mqtts://host:8883", secret=True)
_SWITCH = Kind(_yes_or_no, "yes or no", (bool,))
_SOCKET_MODE = Kind(_mode, 'one of "0600", "0660", "0666", as text')
_NAMES = Kind(_names, "names with commas between them")
LABELS = Kind(_labels, "KEY=VALUE pairs with commas between them, in a file a table of text", (dict,))
_SIDECAR_ADDRESS = Kind(_sidecar, "unix:/path/to/socket or tcp:127.0.0.1:port")
_LISTEN = Kind(_text, "unix:/path/to/socket or tcp:127.0.0.1:port (0: any free port)")

_EVERYBODY: tuple[Reader, ...] = ("tap", "run", "sidecar")
_PROGRAM: tuple[Reader, ...] = ("tap", "run")
_BESIDE: tuple[Reader, ...] = ("run", "sidecar")

SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="bus",
        kind=_URL,
        readers=_EVERYBODY,
        argument="--bus",
        metavar="URL",
        otherwise="the bus of `sonde up` on this machine",
        help="the MQTT server; its password fits better in the file that SONDE_BUS_PASSWORD_FILE names",
    ),
    Setting(
        name="namespace",
        kind=_NAME,
        readers=_EVERYBODY,
        argument="--namespace",
        metavar="NAME",
        default="default",
        help="where processes run, such as prod; a sidecar's is for those that do not name theirs",
    ),
    Setting(
        name="service",
        kind=_NAME,
        readers=_PROGRAM,
        argument="--service",
        metavar="NAME",
        otherwise="named after the program",
        help="what the program is, such as checkout",
    ),
    Setting(
        name="instance",
        kind=_NAME,
        readers=_PROGRAM,
        argument="--instance",
        metavar="NAME",
        otherwise="made from host and process id",
        help="which of the service's processes it is; give each pod another, such as its name",
    ),
    Setting(
        name="labels",
        kind=LABELS,
        readers=_EVERYBODY,
        argument="--label",
        metavar="KEY=VALUE",
        otherwise="none",
        help="further facts, such as version=1.4.2; a sidecar's are added to those of its processes",
    ),
    Setting(
        name="children",
        kind=_SWITCH,
        readers=_PROGRAM,
        default="yes",
        help="whether the Python processes that a program makes are seen too (`sonde run --no-children`: no)",
    ),
    Setting(
        name="sidecar",
        kind=_SIDECAR_ADDRESS,
        readers=_PROGRAM,
        otherwise="a sidecar of its own is started",
        help="where the sidecar of the pod or host listens",
    ),
    Setting(
        name="token_file",
        kind=_PATH,
        readers=("tap", "sidecar"),
        argument="--token-file",
        metavar="FILE",
        otherwise="beside the sidecar's socket",
        help="the token by which sidecar and processes know each other; a sidecar makes it when it is not there",
    ),
    Setting(
        name="listen",
        kind=_LISTEN,
        readers=("sidecar",),
        argument="--listen",
        metavar="ADDRESS",
        otherwise="a socket in a new private directory",
        help="unix:/path/to/socket, or tcp:127.0.0.1:port",
    ),
    Setting(
        name="socket_mode",
        kind=_SOCKET_MODE,
        readers=("sidecar",),
        argument="--socket-mode",
        metavar="MODE",
        default="0600",
        help="who may use the socket and read the token that is made: the user, its group (0660), everybody (0666)",
    ),
    Setting(
        name="max_processes",
        kind=_count(1, 4096),
        readers=("sidecar",),
        argument="--max-processes",
        metavar="N",
        default=256,
        help="how many processes one sidecar serves; further ones are refused",
    ),
    Setting(
        name="lease",
        kind=_seconds(5, 3600),
        readers=_BESIDE,
        argument="--lease",
        metavar="SECONDS",
        default=60.0,
        help="how long a stop may last until somebody renews it",
    ),
    Setting(
        name="longest_stop",
        kind=_seconds(5, 86400),
        readers=_BESIDE,
        argument="--longest-stop",
        metavar="SECONDS",
        default=900.0,
        help="how long a stop may last without any action by a person, however often it is renewed",
    ),
    Setting(
        name="evaluation_limit",
        kind=_seconds(1, 300),
        readers=_BESIDE,
        argument="--evaluation-limit",
        metavar="SECONDS",
        default=20.0,
        help="how long an evaluation may take until it is interrupted",
    ),
    Setting(
        name="redaction",
        kind=_one_of("strict", "standard", "off"),
        readers=_EVERYBODY,
        argument="--redaction",
        metavar="MODE",
        default="standard",
        help="what never leaves: all values (strict), secrets (standard), nothing (off); what program and sidecar say is "
        "joined, so that the one that hides more holds",
    ),
    Setting(
        name="redact_names",
        kind=_NAMES,
        readers=_EVERYBODY,
        argument="--redact-names",
        metavar="NAMES",
        otherwise="none",
        help="further names whose values are hidden, such as birthday,customer; case, - and _ do not matter",
    ),
    Setting(
        name="show_names",
        kind=_NAMES,
        readers=_EVERYBODY,
        argument="--show-names",
        metavar="NAMES",
        otherwise="none",
        help="names whose values are shown though they sound secret; program and sidecar must both say so",
    ),
    Setting(
        name="probe_budget",
        kind=Kind(_percent, "percent, 0.01 to 100", (int, float)),
        readers=("tap",),
        default=1.0,
        help="of one core, what all probes of a process may take over ten seconds; the costliest is suspended above it",
    ),
    Setting(
        name="log_level",
        kind=_one_of("debug", "info", "warning", "error"),
        readers=_BESIDE,
        argument="--log-level",
        metavar="LEVEL",
        otherwise="info; warning for `sonde run` without a log file",
        help="what is logged: debug, info, warning or error",
    ),
    Setting(
        name="log_file",
        kind=_PATH,
        readers=_BESIDE,
        argument="--log-file",
        metavar="FILE",
        otherwise="none",
        help="a file for the log, beside the console, 10 MiB and three older ones; {pid} becomes the process id",
    ),
    Setting(
        name="log_format",
        kind=_one_of("text", "json"),
        readers=_BESIDE,
        argument="--log-format",
        metavar="FORMAT",
        default="text",
        help="text, or json: an object a line",
    ),
)

BY_NAME = {setting.name: setting for setting in SETTINGS}
OTHER_VARIABLES = {
    CONFIG_VARIABLE: "the configuration file, an absolute path; `--config` wins",
    "SONDE_BUS_PASSWORD_FILE": "a file with the bus's password, for a URL that names a user only",
    "SONDE_VERBOSE": "when not empty, the tap says on standard error why it ended",
    "SONDE_SITE": "the file in which `sonde up` leaves where it is",
    "SONDE_URL": "the broker, or several with commas between, for `sonde ps` and its like",
    "SONDE_TOKEN": "the token, for `sonde ps` and its like",
}
"""Read from the environment alone."""
INTERNAL_VARIABLES = ("SONDE_INJECTION", "SONDE_PARENT", "SONDE_RUN", "SONDE_SKIP_WEB", "SONDE_TEST_")
"""Not for people; as beginnings of names."""
BROKER_VARIABLES = ("SONDE_BROKER_", "SONDE_HISTORY_")
"""Those of `sonde broker`, which has a table of its own; as beginnings of names."""


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
