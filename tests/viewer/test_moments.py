from datetime import UTC, datetime, timedelta, timezone

import pytest

from sonde_viewer.moments import ago, moment

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", datetime(2026, 3, 2, 11, 20, tzinfo=UTC)),
        ("1h30m", datetime(2026, 3, 2, 10, 0, tzinfo=UTC)),
        ("2d", datetime(2026, 2, 28, 11, 30, tzinfo=UTC)),
        ("12:15", datetime(2026, 3, 2, 11, 15, tzinfo=UTC)),
        ("12:15:30", datetime(2026, 3, 2, 11, 15, 30, tzinfo=UTC)),
        ("23:00", datetime(2026, 3, 1, 22, 0, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 2, 28, 23, 0, tzinfo=UTC)),
        ("2026-03-01T10:00", datetime(2026, 3, 1, 9, 0, tzinfo=UTC)),
        ("2026-03-01T10:00Z", datetime(2026, 3, 1, 10, 0, tzinfo=UTC)),
    ],
)
def test_times_as_people_write_them(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected.timestamp()


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10 m", "-5m", "0s", "25:00", "12:60", "yesterday", "9999999d", "5x"]
)
def test_what_is_no_time(text: str) -> None:
    assert moment(text, NOW) is None
    assert ago(text) is None
