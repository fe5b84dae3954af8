"""The one definition of what crosses a boundary between Sonde's programs.

`addresses` names processes, `topics` the bus's topics, `bus` and `rpc` the messages towards the bus and
towards viewers, `dap` which debug requests pass, `errors` the closed list of codes, `codec` the encoding,
`mqtt` the line to the bus. It imports no other part of Sonde.
"""

from sonde_wire.addresses import Address, Selector
from sonde_wire.errors import Code, Failure, MalformedMessage, Reason, Refused, WireError
from sonde_wire.scopes import Scope

__all__ = [
    "Address",
    "Code",
    "Failure",
    "MalformedMessage",
    "Reason",
    "Refused",
    "Scope",
    "Selector",
    "WireError",
]
