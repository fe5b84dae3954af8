"""The debugger's events on code, from Python 3.12 on (sys.monitoring): which code could have them, and giving and
taking them. Before 3.12 functions are traced, not code, and all of this does nothing.
"""

import sys
from collections.abc import Iterator
from types import CodeType, FrameType, FunctionType

from sonde_agent.tap.heap import current_frames, living, suspended_frames

if sys.version_info >= (3, 12):

    def tool_is_taken() -> bool:
        return sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is not None

    def suspended_codes() -> list[CodeType]:
        """Of coroutines and generators that exist now. By identity: equal code may come from another file."""
        return list({id(frame.f_code): frame.f_code for frame in suspended_frames()}.values())

    def add_lines(code: CodeType) -> None:
        monitoring = sys.monitoring
        events = monitoring.get_local_events(monitoring.DEBUGGER_ID, code)
        monitoring.set_local_events(monitoring.DEBUGGER_ID, code, events | monitoring.events.LINE)

    def clear() -> None:
        """They stay with the code when the tool is freed, and each line of it would go on costing."""
        monitoring = sys.monitoring
        if monitoring.get_tool(monitoring.DEBUGGER_ID) is None:
            return
        for code in _all_codes():
            if monitoring.get_local_events(monitoring.DEBUGGER_ID, code):
                monitoring.set_local_events(monitoring.DEBUGGER_ID, code, 0)

    def _all_codes() -> Iterator[CodeType]:
        """Of functions, of what runs or is suspended (a module's own code is nowhere else), and of functions in
        these that nobody has made at the moment."""
        waiting = [each.__code__ for each in living(FunctionType)]
        waiting += suspended_codes()
        for frame in current_frames().values():
            inner: FrameType | None = frame
            while inner is not None:
                waiting.append(inner.f_code)
                inner = inner.f_back
        seen: set[int] = set()
        while waiting:
            code = waiting.pop()
            if id(code) not in seen:
                seen.add(id(code))
                waiting += [each for each in code.co_consts if type(each) is CodeType]
                yield code

else:

    def tool_is_taken() -> bool:
        return False

    def suspended_codes() -> list[CodeType]:
        return []

    def add_lines(code: CodeType) -> None:
        return

    def clear() -> None:
        return
