"""`serve`, passed again and again with a probe of ours, or none. Each line on standard input is JSON: `probe` (a specification,
or null) and `passes`; the answer is what `passing` says. With `listen`, under debugpy.listen(), whose port it prints first.
"""

import json
import sys
from typing import Any

from bench.programs.passing import in_thread


def probed(spec: dict[str, Any] | None, many: int) -> dict[str, float]:
    if spec is None:
        return in_thread(many)
    from sonde_agent.tap.probes.engine import Engine

    engine = Engine(lambda: None, 100.0)
    status = engine.put({"id": "benchbench", "left": 600.0, "spec": spec})
    assert status["state"] == "active", status
    try:
        return in_thread(many)
    finally:
        engine.close()


if len(sys.argv) > 1:
    import debugpy

    debugpy.configure(subProcess=False)
    print("port", debugpy.listen(("127.0.0.1", 0))[1], flush=True)
print("ready", flush=True)
for _line in sys.stdin:
    _asked = json.loads(_line)
    print(json.dumps(probed(_asked["probe"], _asked["passes"])), flush=True)
