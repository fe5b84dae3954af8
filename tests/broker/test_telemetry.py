"""The broker's figures as Prometheus reads them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from sonde_broker import telemetry
from sonde_broker.counts import Counts, Levels
from sonde_broker.telemetry import Telemetry
from sonde_wire import Code

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def rendered(counts: Counts, levels: Levels) -> list[Sample]:
    text, _ = Telemetry(counts, lambda: levels, "1.2").render()
    return [sample for family in text_string_to_metric_families(text.decode()) for sample in family.samples]


def value(samples: list[Sample], name: str, **labels: str) -> float:
    [found] = [each.value for each in samples if each.name == name and each.labels == labels]
    return found


def test_what_was_counted_is_read_when_it_is_scraped() -> None:
    counts, levels = Counts(), Levels(bus_up=True, viewers=3, processes={"online": 5, "lost": 1})
    figures = Telemetry(counts, lambda: levels, "1.2")
    figures.render()
    counts.events_relayed += 7
    counts.command("timed_out")
    counts.refused(Code.PERMISSION_DENIED)
    counts.request("readyz", 503)
    text, content_type = figures.render()
    assert content_type.startswith("text/plain; version=")
    samples = [each for family in text_string_to_metric_families(text.decode()) for each in family.samples]
    assert value(samples, "sonde_broker_events_relayed_total") == 7
    assert value(samples, "sonde_broker_commands_total", outcome="timed_out") == 1
    assert value(samples, "sonde_broker_commands_total", outcome="answered") == 0
    assert value(samples, "sonde_broker_refusals_total", code="permission_denied") == 1
    assert value(samples, "sonde_broker_http_requests_total", route="readyz", status="503") == 1
    assert value(samples, "sonde_broker_viewers") == 3
    assert value(samples, "sonde_broker_bus_up") == 1
    assert value(samples, "sonde_broker_processes", state="online") == 5
    assert value(samples, "sonde_broker_processes", state="ended") == 0
    [build] = [each.labels for each in samples if each.name == "sonde_broker_build_info"]
    assert build["version"] == "1.2"
    assert any(each.name == "process_resident_memory_bytes" for each in samples)


@pytest.mark.parametrize(("up", "told"), [(None, []), (True, [1.0]), (False, [0.0])])
def test_a_history_that_is_not_there_has_no_figure(up: bool | None, told: list[float]) -> None:
    samples = rendered(Counts(), Levels(bus_up=True, history_up=up))
    assert [each.value for each in samples if each.name == "sonde_broker_history_up"] == told


def test_each_count_and_level_has_a_figure() -> None:
    """One that nobody sees would be counted for nothing."""
    of_labels = {"commands", "refusals", "requests", "processes"}
    shown = {row[0] for row in (*telemetry._COUNTERS, *telemetry._GAUGES)}
    assert shown | of_labels == {*Counts.__struct_fields__, *Levels.__struct_fields__}


def test_the_figures_do_not_grow_with_the_fleet() -> None:
    def series(number: int) -> int:
        states = {"online": number, "a/b/c": number}
        return len(rendered(Counts(events_received=number), Levels(bus_up=True, processes=states)))

    assert series(1) == series(10_000)


def test_names_and_units_follow_the_conventions() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    text, content_type = Telemetry(Counts(), lambda: Levels(bus_up=True), "1").render(accept)
    assert "openmetrics" in content_type
    for family in read_openmetrics(text.decode()):  # type: ignore[no-untyped-call]  # it refuses what does not
        if family.name.startswith("sonde_"):
            assert family.documentation.endswith(".")
            assert not family.name.endswith(("_count", "_sum", "_total"))


def rows() -> Iterator[str]:
    head, *rest = telemetry.table_rows()
    for row in (head, tuple("---" for _ in head), *rest):
        yield "| " + " | ".join(row) + " |"


def test_the_page_has_the_table() -> None:
    expected = "\n".join(rows()) + "\n"
    assert expected in PAGE.read_text(), expected
