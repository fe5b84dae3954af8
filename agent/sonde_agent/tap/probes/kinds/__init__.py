"""What probes do where they are hit, one module each kind.

Each is made from a specification and `Tools`; `take` is called in the program's own thread for each hit that counts.
"""
