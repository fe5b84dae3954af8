"""The prompt of `sonde debug`: `grammar` reads a line, `debugger` does it, `terminal` is for people, the
command itself for scripts."""
