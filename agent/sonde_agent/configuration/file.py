"""A configuration file, read and checked: TOML, YAML or JSON, told by the end of its name.

Keys are those of `table.SETTINGS`, all at the top; `labels` is a table. Each value is handed on as the
text that the environment would have, so that there is one place that understands it. A file that everybody may
write is refused: who chooses the sidecar's address or the bus chooses who debugs.

YAML needs PyYAML, which `sonde[agent]` brings and an application need not have.
"""

# The tap imports this; pathlib would cost a program that does not use it.
# ruff: noqa: PTH119, PTH122

import os
import stat
from typing import Any

from sonde_agent.configuration.table import BY_NAME, SETTINGS, InvalidConfiguration, Setting

LARGEST = 256 * 1024
"""Bytes."""


def read(path: str) -> dict[str, tuple[str, str]]:
    """By name: where it stands, for messages, and its text. Raises `InvalidConfiguration`."""
    file = os.path.basename(path)
    body = _parsed(_text_of(path), file)
    if not isinstance(body, dict):
        raise InvalidConfiguration(path, "has no keys at its top: write `key: value` or `key = value`")
    return {
        name: (f"{name} in {file}", _checked(_known(name, file), value, file)) for name, value in body.items()
    }


def _text_of(path: str) -> str:
    try:
        # O_NONBLOCK: nothing here may wait, and a FIFO without a writer would
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as opened:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidConfiguration(path, "is not a file")
            if status.st_mode & stat.S_IWOTH:
                raise InvalidConfiguration(path, f"can be changed by everybody: chmod o-w {path}")
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise InvalidConfiguration(path, f"cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise InvalidConfiguration(path, f"is larger than {LARGEST // 1024} KiB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidConfiguration(path, "is not UTF-8 text") from None


def _parsed(text: str, file: str) -> Any:
    ending = os.path.splitext(file)[1].lower()
    try:
        if ending == ".toml":
            import tomllib

            return tomllib.loads(text)
        if ending == ".json":
            import json

            return json.loads(text, object_pairs_hook=_once)
        if ending in {".yaml", ".yml"}:
            return _yaml(text, file)
    except InvalidConfiguration:
        raise
    except (ValueError, RecursionError) as error:
        problem = str(error) or type(error).__name__
        raise InvalidConfiguration(file, f"is not valid {ending[1:].upper()}: {problem}") from None
    raise InvalidConfiguration(file, "must end with .toml, .yaml or .json, which says how it is to be read")


def _yaml(text: str, file: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise InvalidConfiguration(
            file, "is YAML, and PyYAML is not installed here: use TOML, or pip install pyyaml"
        ) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if isinstance(node, yaml.MappingNode):
            for each in (node, *(value for _, value in node.value)):
                if isinstance(each, yaml.MappingNode):
                    _once([(key.value, value) for key, value in each.value])
        return yaml.safe_load(text)
    except (
        yaml.MarkedYAMLError
    ) as error:  # its text would repeat a piece of the file, which may be a password
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{error.problem} (at line {line})") from None
    except yaml.YAMLError as error:
        raise ValueError(type(error).__name__) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON and YAML let the last of two win in silence."""
    body = dict(pairs)
    if len(body) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return body


def _known(name: object, file: str) -> Setting:
    if isinstance(name, str) and name in BY_NAME:
        return BY_NAME[name]
    import difflib

    close = difflib.get_close_matches(str(name).lower(), BY_NAME, 1, 0.5)
    variables = {setting.variable: setting.name for setting in SETTINGS}
    meant = variables.get(str(name).upper()) or (close[0] if close else None)
    advice = f"did you mean {meant!r}?" if meant else f"there are {', '.join(BY_NAME)}"
    raise InvalidConfiguration(f"unknown key {name!r} in {file}:", advice)


def _checked(setting: Setting, value: object, file: str) -> str:
    """The value as text, of the right type and allowed."""
    where = f"{setting.name} in {file}"
    # True is an int, and no number
    if not isinstance(value, setting.kind.types) or (type(value) is bool and bool not in setting.kind.types):
        raise setting.wrong(value, where)
    if isinstance(value, dict):
        text = _pairs(setting, value, where)
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = str(value)
    try:
        setting.kind.read(text)
    except ValueError:
        raise setting.wrong(value, where) from None
    return text


def _pairs(setting: Setting, value: dict[Any, Any], where: str) -> str:
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise InvalidConfiguration(f"{where}:", f"{key} is {text!r}: give text, in quotes")
        if not key or "=" in key or "," in key + text:
            raise InvalidConfiguration(
                f"{where}:", f"{key} has a comma or an equals sign, which cannot be told"
            )
    return ",".join(f"{key}={text}" for key, text in value.items())
