"""A classic debugpy server: a port in this process that VS Code attaches to. It needs no sidecar, bus or broker.

errors.py   what goes wrong
adapter.py  debugpy's adapter as a process that ends when it is told to; adapter_program.py is what runs in it
server.py   DebugpyServer: one for this process
several.py  DebugpyServerManager: this process's and those of programs that it starts; program.py runs in these

Public through `sonde_agent`; importing this package imports nothing.
"""
