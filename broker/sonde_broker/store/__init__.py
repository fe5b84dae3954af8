"""The history: what processes told, kept in SQLite or PostgreSQL.

`Store` takes what the core orders (`Keep`, `AskStore`) and tells it what came of it. `check` says what would be wrong with a
URL before a broker is started with it.
"""

from sonde_broker.store.check import check
from sonde_broker.store.face import Store

__all__ = ["Store", "check"]
