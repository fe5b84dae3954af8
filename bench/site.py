"""The site that comparisons run on: the one of the end-to-end tests, in a directory of its own."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.debuggee import Program
from tests.support.site import Site, site

PROGRAMS = Path(__file__).parent / "programs"


def program(name: str) -> Program:
    return Program(PROGRAMS / name)


@asynccontextmanager
async def fresh_site() -> AsyncIterator[Site]:
    with tempfile.TemporaryDirectory() as directory:
        async with site(Path(directory)) as started:
            yield started
