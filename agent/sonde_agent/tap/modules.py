"""The modules that the process has loaded, read without touching them: some load themselves when touched."""

import sys
from types import ModuleType
from typing import Any

from sonde_agent.tap import inert, sources
from sonde_agent.tap.identity import plain

MOST_MODULES = 10_000
_LONGEST_NAME = 300
_LONGEST_VERSION = 64


def read() -> dict[str, Any]:
    """Fields of the wire's `Modules`, by name. A version is what the module says of itself."""
    loaded = sys.modules.copy()
    names = sorted(name for name in loaded if type(name) is str)
    modules = [_describe(name, loaded[name]) for name in names[:MOST_MODULES]]
    return {"modules": modules, "truncated": len(names) > MOST_MODULES}


def _describe(name: str, module: object) -> dict[str, Any]:
    own = inert.attributes(module) if issubclass(type(module), ModuleType) else {}
    described: dict[str, Any] = {"name": plain(name[:_LONGEST_NAME])}
    path = own.get("__file__")
    if type(path) is str and path:
        described["path"] = plain(path)
        described["application"] = sources.is_application(path)
    version = own.get("__version__")
    if type(version) is str:
        described["version"] = plain(version[:_LONGEST_VERSION])
    return described
