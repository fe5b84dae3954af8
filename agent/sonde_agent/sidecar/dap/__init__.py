"""The sidecar's side of the Debug Adapter Protocol, spoken straight with pydevd.

`framing` splits bytes into messages, `channel` matches requests with their responses (both without I/O),
`debugger` is the face: it accepts pydevd's one connection and shakes hands.
"""
