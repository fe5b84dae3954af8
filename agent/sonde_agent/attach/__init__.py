"""`sonde attach PID`: brings the tap into a Python process that runs without one.

facts.py      what is known of the process and of this one, read from /proc
judgement.py  whether it can work, and by which way; what is missing and what gives it. A pure core
injection.py  gets a few words of Python to run in the process: `sys.remote_exec`, or gdb
symbols.py    where functions are in a process, so that gdb calls the right ones
inside.py     what they run there: makes our packages findable, starts the tap, and reports
report.py     where it reports to
command.py    the command: the order of all this, and what people read
"""
