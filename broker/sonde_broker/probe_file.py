"""The probes in a small file beside the site's other files, over a restart of a broker whose bus ends with it.

The bus is the other copy, and where there is no site the only one: a server that retains gives every probe back. So
a file that cannot be read or written is a warning and nothing worse.
"""

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from sonde_broker.relay_io import KeepProbes
from sonde_wire import MalformedMessage, codec
from sonde_wire.probes import ProbeMessage

logger = logging.getLogger(__name__)


class ProbeFile:
    """`path` is None where nothing is kept; its directory must be there."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._failed = False

    def read(self) -> tuple[ProbeMessage, ...]:
        if self._path is None:
            return ()
        try:
            return codec.decode(self._path.read_bytes(), tuple[ProbeMessage, ...])
        except FileNotFoundError:
            return ()
        except (OSError, MalformedMessage) as error:
            logger.warning("the probes in %s cannot be read and are left to the bus: %s", self._path, error)
            return ()

    def write(self, kept: KeepProbes) -> None:
        """Replaces the file in one step; only the user can read it."""
        if self._path is None:
            return
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(dir=self._path.parent)  # made with mode 0600
            with os.fdopen(handle, "wb") as file:
                file.write(codec.encode(kept.messages))
            Path(temporary).replace(self._path)
            self._failed = False
        except OSError as error:
            if temporary is not None:
                with suppress(OSError):
                    Path(temporary).unlink()
            if not self._failed:
                logger.warning("the probes cannot be kept in %s: %s", self._path, error.strerror)
            self._failed = True
