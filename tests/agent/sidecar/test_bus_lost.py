"""A bus that goes away and comes back, under a process that stands."""

from pathlib import Path

from sonde_agent.sidecar import SidecarSettings, serve
from sonde_wire import mqtt
from tests.agent.sidecar.conftest import broker_on, mqtt_server, tapped
from tests.agent.sidecar.test_debugging import WORKER, online, stop


async def test_a_lost_bus_lets_the_process_run_on_and_is_debugged_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with (
        mqtt_server(tmp_path) as server,
        serve(SidecarSettings(bus=server.url)) as sidecar,
        tapped(sidecar, tmp_path, WORKER) as (program, running),
    ):
        async with broker_on(server.url) as broker:
            process = await online(broker)
            await broker.open(process, "s1")
            await stop(broker, process, program)
            last = broker.events[-1].seq if broker.events else 0
        server.running.process.kill()
        await server.running.ended()
        await running.says("sold")

        port = mqtt.BusUrl.parse(server.url).port
        async with mqtt_server(tmp_path, port) as again, broker_on(again.url) as broker:
            back = await online(broker)
            assert back.boot == process.boot
            await broker.presence(lambda each: not each.sessions and each.debugger == "detached")
            await broker.open(back, "s2")
            await stop(broker, back, program, "s2")
            assert all(event.seq > last for event in broker.events)
