"""What the tests expect of a stopped process, in the words of the design."""

from typing import Any

from sonde_viewer import DebugSession
from tests.support.debuggee import Program


async def stopped_at(session: DebugSession, program: Program, tag: str) -> list[dict[str, Any]]:
    """Waits for a stop and returns its frames; the innermost is at the line tagged `# tag`."""
    await session.stopped()
    frames = await session.stack()
    where = (frames[0]["source"]["path"], frames[0]["line"])
    assert where == (str(program.path), program.line(tag)), f"stopped at {where}"
    return frames


async def local_variables(session: DebugSession, frame: int) -> dict[str, str]:
    """Name to shown value, of the frame's locals."""
    scopes = await session.scopes(frame)
    variables = await session.variables(scopes[0]["variablesReference"])
    return {each["name"]: each["value"] for each in variables}
