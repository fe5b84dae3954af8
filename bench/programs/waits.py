"""A program that does nothing until its standard input ends. With `service`, it has imported what most services
have; with `listen`, it is under debugpy.listen()."""

import sys
from importlib import import_module

if "service" in sys.argv:
    for name in ("asyncio", "concurrent.futures", "json", "logging.config", "ssl", "urllib.request"):
        import_module(name)

if "listen" in sys.argv:
    import debugpy

    debugpy.listen(("127.0.0.1", 0))
print("ready", flush=True)
sys.stdin.read()
