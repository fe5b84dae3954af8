"""The half of the agent that stands beside the process and does all the talking.

A face to the left (`taps`, `dap`: the process), a pure core (`mux`, `journal`), a face to the right (`uplink`:
the bus). `process` binds them for one process, `service` for all of a host or pod.
"""

from sonde_agent.sidecar.service import Sidecar, serve
from sonde_agent.sidecar.settings import SidecarSettings

__all__ = ["Sidecar", "SidecarSettings", "serve"]
