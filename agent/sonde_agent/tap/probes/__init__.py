"""The probes of a process: what looks at it without stopping it."""
