"""The probes over a restart of the broker: private, whole or not at all, and never a reason to fail."""

import logging
from pathlib import Path

import pytest

from sonde_broker.probe_file import ProbeFile
from sonde_broker.relay_io import KeepProbes
from sonde_wire.probes import LinePlace, Probe, ProbeRemoved, ProbeSpec, Snapshot

SPEC = ProbeSpec(kind=Snapshot(expressions=("a",)), place=LinePlace(path="a.py", line=1))
MESSAGES = (
    Probe(
        id="probeaaaaa",
        spec=SPEC,
        creator="ada",
        created=1.0,
        expires=2.0,
        within=("*/*/*",),
        chosen=("a/b/c",),
    ),
    ProbeRemoved(id="probebbbbb", time=1.0, expires=2.0),
)


def test_what_is_written_is_read_again_and_only_the_user_can_read_it(tmp_path: Path) -> None:
    file = ProbeFile(tmp_path / "probes.json")
    assert file.read() == ()
    for messages in (MESSAGES[:1], MESSAGES):
        file.write(KeepProbes(messages))
        assert ProbeFile(tmp_path / "probes.json").read() == messages
    assert [each.name for each in tmp_path.iterdir()] == ["probes.json"]
    assert (tmp_path / "probes.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"type":"probe"}]', b"\xff"])
def test_what_cannot_be_read_is_left_to_the_bus(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "probes.json"
    path.write_bytes(content)
    assert ProbeFile(path).read() == ()
    assert "left to the bus" in caplog.text
    ProbeFile(path).write(KeepProbes(MESSAGES))
    assert ProbeFile(path).read() == MESSAGES


def test_a_directory_that_cannot_be_written_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file = ProbeFile(tmp_path / "nosuch" / "probes.json")
    for _ in range(3):
        file.write(KeepProbes(MESSAGES))
    assert len(caplog.records) == 1


def test_without_a_path_nothing_is_kept() -> None:
    ProbeFile(None).write(KeepProbes(MESSAGES))
    assert ProbeFile(None).read() == ()
