"""What may run, whatever the broker thought."""

import pytest

from sonde_agent.sidecar.admission import Admitted, admit
from sonde_wire import Failure, Reason, bus

SHOP, BOOT = "default/shop/a", "0" * 32


def command(operation: bus.AnyOperation, *scopes: str) -> bus.Command:
    viewer = bus.ViewerIdentity(subject="ada", connection="v1", scopes=scopes)
    return bus.Command(process=SHOP, id="c1", broker="b1", viewer=viewer, timeout=5, operation=operation)


@pytest.mark.parametrize(
    ("operation", "scope"),
    [
        (bus.ReadEvents(after=0, upto=9), "observe"),
        (bus.ReadStacks(), "inspect"),
        (bus.OpenSession(session="s1"), "control"),
    ],
)
def test_an_operation_needs_its_scope(operation: bus.AnyOperation, scope: str) -> None:
    assert isinstance(admit(command(operation, scope), SHOP, BOOT), Admitted)
    others = {"observe", "inspect", "control", "execute"} - {scope}
    refused = admit(command(operation, *others), SHOP, BOOT)
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.MISSING_SCOPE and scope in refused.message
