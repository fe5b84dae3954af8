"""The broker: relays the bus to authenticated viewers over WebSocket, and their commands back.

Left face `agents` (MQTT), right face `viewers` (WebSocket and the page), between them the cores `relay` and
`access`, which do no I/O. `tokens` decides who somebody is, `access` what they may do; nothing else decides.
"""

__all__: list[str] = []
