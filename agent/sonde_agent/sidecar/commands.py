"""What a command of a session means to the multiplexer, and how the log names commands. Pure."""

import logging
from typing import Any, assert_never

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.admission import Admitted
from sonde_wire import bus
from sonde_wire.facts import facts, trace_of

OfSession = bus.OpenSession | bus.CloseSession | bus.Dap | bus.RenewLease | bus.TakeSeat


def to_input(operation: OfSession, admitted: Admitted, time: float) -> e.Input:
    """`time` is in seconds since the epoch."""
    command = admitted.command
    viewer = command.viewer.subject
    match operation:
        case bus.OpenSession():
            return e.OpenAsked(
                command=command.id,
                session=operation.session,
                viewer=viewer,
                broker=command.broker,
                time=time,
                name=operation.name,
                metadata=operation.metadata,
            )
        case bus.CloseSession(session=session):
            return e.CloseAsked(command=command.id, session=session, viewer=viewer)
        case bus.Dap(session=session):
            return e.DapAsked(
                command=command.id,
                session=session,
                viewer=viewer,
                seq=admitted.seq,
                request=admitted.request,
                arguments=dict(admitted.arguments),
                timeout=command.timeout,
            )
        case bus.RenewLease(session=session):
            return e.RenewAsked(command=command.id, session=session, viewer=viewer)
        case bus.TakeSeat(session=session, action=action, to=to):
            return e.SeatAsked(command=command.id, session=session, viewer=viewer, action=action, to=to)
        case _:
            assert_never(operation)


def level(command: bus.Command) -> int:
    """What a person does now and then is told, and what somebody traces; what a debugger asks all the time is not."""
    acts = isinstance(command.operation, bus.OpenSession | bus.CloseSession | bus.TakeSeat)
    return logging.INFO if acts or command.trace is not None else logging.DEBUG


def name_of(admitted: Admitted) -> str:
    """Of what is asked, for people: `session.open`, or DAP's name of a request."""
    return admitted.request or str(admitted.command.operation.__struct_config__.tag)


def facts_of(command: bus.Command) -> dict[str, Any]:
    """For the log's machine readers: who asked, and the trace that the caller sent."""
    trace_id = trace_of(command.trace.traceparent) if command.trace else None
    return facts(viewer=command.viewer.connection, subject=command.viewer.subject, trace_id=trace_id)
