"""deploy/make_secrets.py as a module: it is a script of its own and no part of a package."""

import importlib.util
from types import ModuleType

from tests.deploy.manifests import DEPLOY


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_secrets", DEPLOY / "make_secrets.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
