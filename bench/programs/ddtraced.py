"""`serve`, passed again and again with the probes of ddtrace, which its environment names. Each line on standard input is JSON:
`passes`, whose answer is what `passing` says, or `once`, a number to serve once.

Datadog's library takes at most a hundred snapshots a second in a process, and has no setting for it: a measured pass would be
one that it throttles. So the limit is raised before it starts. When its buffer of 4 MiB is full it can stand for ever: the thread
that fills it then waits for the one that sends, with the lock in hand which that one wants. So each round begins when the buffer is
empty.
"""

import json
import sys
import time

from ddtrace.internal.settings.dynamic_instrumentation import (  # type: ignore[import-not-found] # where it is installed
    config,
)

config.global_rate_limit = 1e9
import ddtrace.auto  # type: ignore[import-not-found] # noqa: F401 - starts it
from ddtrace.debugging._uploader import SignalUploader  # type: ignore[import-not-found]

from bench.programs import served
from bench.programs.passing import in_thread

_LOOK_SECONDS = 0.005


def _sent() -> None:
    while any(track.queue.count for track in SignalUploader._instance._tracks.values()):
        time.sleep(_LOOK_SECONDS)


print("ready", flush=True)
for _line in sys.stdin:
    _asked = json.loads(_line)
    if "once" in _asked:
        served.serve(_asked["once"], False)
        print("{}", flush=True)
    else:
        print(json.dumps(in_thread(_asked["passes"], _sent)), flush=True)
