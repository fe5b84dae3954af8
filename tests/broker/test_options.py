"""Where an option of the broker is from, and that the page of the settings is right about it."""

import argparse
import os
from pathlib import Path

import pytest

from sonde_agent import configuration
from sonde_broker import options, reading
from sonde_broker.errors import InvalidSettings
from sonde_broker.options import OPTIONS, Given
from sonde_broker.settings import HostPort, Settings, TheirBus
from tests.broker.tokens import SECRET

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def given(*arguments: str, **environment: str) -> Given:
    parser = argparse.ArgumentParser()
    options.add_to(parser)
    return options.gather(vars(parser.parse_args(arguments)), environment)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return str(path)


def read(secret: str, *arguments: str, **environment: str) -> Settings:
    return reading.read(given("--secret-file", secret, *arguments, **environment))


def test_an_option_wins_over_the_variable_and_the_variable_over_the_default(secret: str) -> None:
    assert read(secret).listen == HostPort("127.0.0.1", 8080)
    variable = {"SONDE_BROKER_LISTEN": "127.0.0.1:9000"}
    assert read(secret, **variable).listen == HostPort("127.0.0.1", 9000)
    assert read(secret, "--listen", "127.0.0.1:9001", **variable).listen == HostPort("127.0.0.1", 9001)


def test_an_empty_variable_is_not_set(secret: str) -> None:
    assert read(secret, SONDE_BROKER_LISTEN="", SONDE_BROKER_ALLOW_HOST="").hosts == ()


def test_all_can_be_said_by_variables(secret: str, tmp_path: Path) -> None:
    settings = reading.read(
        given(
            SONDE_BROKER_LISTEN="10.0.0.1:80",
            SONDE_BROKER_BUS="mqtt://u:p@bus.example",
            SONDE_BROKER_SECRET_FILE=secret,
            SONDE_BROKER_ISSUER="https://id.example",
            SONDE_BROKER_AUDIENCE="fleet",
            SONDE_BROKER_MAX_TOKEN_LIFETIME="15m",
            SONDE_BROKER_ALLOW_ORIGIN="https://a.example, https://b.example",
            SONDE_BROKER_ALLOW_HOST="a.example b.example",
            SONDE_BROKER_HISTORY=str(tmp_path / "h.db"),
            SONDE_BROKER_HISTORY_DAYS="2.5",
            SONDE_BROKER_HISTORY_SIZE="500MiB",
            SONDE_BROKER_COMPRESS="never",
            SONDE_BROKER_METRICS_LISTEN="10.0.0.1:9100",
            SONDE_BROKER_SITE="no",
        )
    )
    assert settings.listen == HostPort("10.0.0.1", 80)
    assert isinstance(settings.bus, TheirBus)
    assert (settings.issuer, settings.audience, settings.longest_life) == ("https://id.example", "fleet", 900)
    assert settings.origins == ("https://a.example", "https://b.example")
    assert settings.hosts == ("a.example", "b.example")
    assert settings.history is not None
    assert settings.history.path == tmp_path / "h.db"
    assert (settings.history.days, settings.history.most_bytes) == (2.5, 500 * 2**20)
    assert (settings.compress, settings.metrics_listen) == ("never", HostPort("10.0.0.1", 9100))


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SONDE_BROKER_LISTEN", "example.com:80"),
        ("SONDE_BROKER_METRICS_LISTEN", "everywhere"),
        ("SONDE_BROKER_BUS", "http://x"),
        ("SONDE_BROKER_MAX_TOKEN_LIFETIME", "forever"),
        ("SONDE_BROKER_ALLOW_ORIGIN", "*"),
        ("SONDE_BROKER_ALLOW_HOST", "https://x"),
        ("SONDE_BROKER_HISTORY", "mysql://x/y"),
        ("SONDE_BROKER_HISTORY_DAYS", "0"),
        ("SONDE_BROKER_HISTORY_SIZE", "1MiB"),
        ("SONDE_BROKER_COMPRESS", "maybe"),
        ("SONDE_BROKER_SITE", "maybe"),
    ],
)
def test_a_wrong_value_is_told_with_the_place_that_said_it(secret: str, variable: str, text: str) -> None:
    with pytest.raises(InvalidSettings, match=variable):
        read(secret, **{variable: text})


def test_a_misspelt_variable_is_told_and_those_of_kubernetes_are_not() -> None:
    environment = (
        "SONDE_BROKER_LISTN",
        "SONDE_BROKER_NONSENSE",
        "SONDE_BROKER_LISTEN",
        "SONDE_BROKER_SERVICE_HOST",
        "SONDE_BROKER_SERVICE_PORT_HTTP",
        "SONDE_BROKER_PORT",
        "SONDE_BROKER_PORT_8080_TCP_ADDR",
        "SONDE_BUS",
    )
    assert options.unknown_variables(environment) == [
        "SONDE_BROKER_LISTN is not a variable of the broker: did you mean SONDE_BROKER_LISTEN?",
        "SONDE_BROKER_NONSENSE is not a variable of the broker",
    ]


def test_the_agent_does_not_take_them_for_its_own_misspelt() -> None:
    ours = [option.variable for option in OPTIONS if option.variable]
    assert configuration.unknown_variables([*ours, *options.OTHER_VARIABLES]) == []


def test_no_variable_is_one_that_kubernetes_would_set() -> None:
    ours = [option.variable for option in OPTIONS if option.variable]
    assert options.unknown_variables(name + "X_" for name in ours)  # they are looked at
    assert not [name for name in ours if options._BY_KUBERNETES.search(name)]


def table(rows: list[tuple[str, ...]]) -> str:
    lines = [rows[0], tuple("---" for _ in rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def test_the_page_has_the_table() -> None:
    expected = table(list(options.table_rows()))
    assert expected in PAGE.read_text(), expected


def test_the_page_has_the_variables_that_are_read_from_the_environment_alone() -> None:
    page = PAGE.read_text()
    for name, what in options.OTHER_VARIABLES.items():
        assert f"| `{name}` | {what} |" in page, (name, what)


def test_a_site_remembers_beside_its_file(
    secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SONDE_SITE", str(tmp_path / "site.json"))
    history = read(secret, "--site").history
    assert history is not None
    assert history.path == tmp_path / "history.db"
    assert read(secret, "--site", "--history", "none").history is None
    assert read(secret).history is None
