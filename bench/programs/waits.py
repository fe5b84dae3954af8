"""A program that does nothing until its standard input ends; with an argument, under debugpy.listen()."""

import sys

if len(sys.argv) > 1:
    import debugpy

    debugpy.listen(("127.0.0.1", 0))
print("ready", flush=True)
sys.stdin.read()
