"""The tap: the half of the agent inside the process. Standard library only; debugpy when it is asked for.

`guest` is its life in the process, `identity` who the process says it is, `sidecar` where the other half is,
`connection` when to connect, greet, serve and wait (a pure core), `thread` the one thread that does it, `calls`
what the sidecar may ask: `debugger`, `stacks`, `sources`. `operations` is what the program measures of its own
work, `report` what is told of it each second. `wall` is what keeps our faults from the program.
"""
