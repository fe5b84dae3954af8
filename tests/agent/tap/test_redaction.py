"""Secrets do not leave, under whatever name they go and whatever they look like; what is none stays readable."""

# Word lists that are written as lists fill pages.
# ruff: noqa: SIM905

import string
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.tap import identity, redaction
from sonde_agent.tap.redaction import MASK

SECRET_NAMES = (
    "DB_PASSWORD apiKey --token Authorization AWS_SECRET_ACCESS_KEY SENTRY_DSN PGPASSWORD MYSQL_PWD githubToken "
    "X-Api-Key cookie session_id sessionid client_secret privateKey SSH_PRIVATE_KEY pass user.password GITHUB_TOKEN "
    "AUTH_TOKEN accessToken APIKEY OPENAI_API_KEY SECRET_KEY DJANGO_SECRET_KEY HTTPPassword PASSWORD1 tokenSecret"
).split()
HARMLESS_NAMES = (
    "PWD OLDPWD TOKENIZERS_PARALLELISM MAX_TOKENS SSH_AUTH_SOCK XAUTHORITY KEYBOARD MONKEY AUTHOR PASSENGER COMPASS "
    "PATH HOME SONDE_SIDECAR_TOKEN_FILE key partition_key foreign_key LANG TOKEN_URL SECRET_NAME bypass spinner "
    "PINNED tokenizer passive cookiecutter --port -p"
).split()


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_telling_name_hides_its_value(name: str) -> None:
    assert redaction.is_secret(name)
    assert redaction.named(name, "x") == MASK


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_a_name_that_only_sounds_like_one_hides_nothing(name: str) -> None:
    assert not redaction.is_secret(name)
    assert redaction.named(name, "100") == "100"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://u:hunter2@h/db", "postgres://u:***@h/db"),
        ("postgres://u:hun@ter2@h/db", "postgres://u:***@h/db"),
        ("postgresql+psycopg://u:hun/ter2@h:5432/x", "postgresql+psycopg://u:***@h:5432/x"),
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        ("amqp://a:hunter2@h1,amqp://c:hunter2@h2", "amqp://a:***@h1,amqp://c:***@h2"),
        ("https://user:8080@h", "https://user:***@h"),
        ("host=x user=y password=hunter2 dbname=q", "host=x user=y password=*** dbname=q"),
        ('{"password": "hunter 2", "x": 1}', '{"password": "***", "x": 1}'),
        ("x = {'api_key': 'hunter2', 'n': 1}", "x = {'api_key': '***', 'n': 1}"),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("Cookie: a=hunter2; b=hunter2", "Cookie: ***"),
        ("http://h/?token=hunter2&x=1", "http://h/?token=***&x=1"),
        ("pay with 4111 1111 1111 1111 now", "pay with *** now"),
        ("5500000000000004", "***"),
        ("at eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln end", "at *** end"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("use ghp_0123456789abcdefABCD please", "use *** please"),
        ("xoxb-0123456789-abcdef", "***"),
        ("sk_live_0123456789abcdef", "***"),
        ("https://hooks.slack.com/services/T0/B0/hunter2", "https://hooks.slack.com/services/***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhun-ter2\n-----END RSA PRIVATE KEY----- x", "*** x"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2 cut o", "***"),
    ],
)
def test_a_telling_shape_is_hidden_and_what_is_around_it_stays(text: str, shown: str) -> None:
    assert redaction.text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://h:8080/a@b",
        "https://h:80",
        "1700000000000",
        "4111111111111112",
        "3.14.15 2026-01-01 12:00:00",
        "key: value",
        "C:\\password",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "/srv/app/main.py",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redaction.text(text) == text


def test_a_random_value_under_the_name_of_some_key_is_hidden() -> None:
    assert redaction.named("FOO_KEY", "aB3dE5gH7jK9mN1pQ") == MASK
    assert redaction.named("FOO_KEY", "customer_number") == "customer_number"
    assert redaction.named("FOO", "aB3dE5gH7jK9mN1pQ") == "aB3dE5gH7jK9mN1pQ"


def test_a_command_line_tells_which_of_it_was_hidden() -> None:
    words = ["python", "app.py", "--password", "a", "--api-key=b", "-p", "8080", "--token", "--verbose"]
    words += ["--db", "postgres://u:c@h/", "DB_PASSWORD=d", "-H", "Authorization: Bearer e", "--secret"]
    shown, hidden = redaction.arguments(words)
    assert shown[:9] == ["python", "app.py", "--password", MASK, f"--api-key={MASK}", *words[5:9]]
    assert shown[9:] == [
        *(
            "--db",
            f"postgres://u:{MASK}@h/",
            f"DB_PASSWORD={MASK}",
            "-H",
            f"Authorization: {MASK}",
            "--secret",
        )
    ]
    assert hidden == ["--password", "--api-key", "argument 10", "argument 11", "argument 13"]


def test_what_a_process_says_of_itself_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "app.py", "--token", "hunter2"])
    who = identity.resolve(service="x", namespace=None, instance=None, labels=None, environment={})
    assert who.hello("a token of the link").argv == ["python", "app.py", "--token", MASK]


def test_an_environment_tells_which_of_it_was_hidden() -> None:
    shown, hidden = redaction.environment(
        {"PATH": "/bin", "DB_PASSWORD": "a", "URL": "x://u:b@h", "TOKEN": ""}
    )
    assert shown == {"PATH": "/bin", "DB_PASSWORD": MASK, "URL": f"x://u:{MASK}@h", "TOKEN": ""}
    assert hidden == ["DB_PASSWORD", "URL"]


def test_a_long_text_is_cut() -> None:
    assert len(redaction.text("x" * 10_000)) == redaction.LONGEST


secrets = st.text(string.ascii_letters + string.digits + "!$%^*()_-+./~", min_size=8, max_size=40).filter(
    lambda text: not text.startswith("--") and MASK not in text
)
harmless = st.text(string.ascii_lowercase + " ", max_size=30)


@given(st.sampled_from(SECRET_NAMES), secrets)
def test_a_secret_does_not_get_through_under_its_name(name: str, secret: str) -> None:
    option = f"--{name.lstrip('-')}"
    shown, hidden = redaction.arguments([option, secret, f"{option}={secret}"])
    assert not any(secret in word for word in shown)
    assert hidden == [option, option]
    variables, hidden = redaction.environment({name: secret})
    assert (variables, hidden) == ({name: MASK}, [name])


@given(
    secret=st.text(string.ascii_uppercase + string.digits, min_size=8, max_size=40),
    before=harmless,
    after=harmless,
    shape=st.sampled_from(
        [
            "postgres://u:{}@host/db",
            "password={}",
            'token: "{}"',
            "{{'secret': '{}'}}",
            "eyJhbGciOiJub25lIn0.{}.x",
            "ghp_{}0123456789abcdef",
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            "Authorization: Basic {}",
            "https://h/cb?access_token={}&n=1",
        ]
    ),
)
def test_a_secret_does_not_get_through_inside_text(secret: str, before: str, after: str, shape: str) -> None:
    assert secret not in redaction.text(f"{before} {shape.format(secret)} {after}")


@given(st.text(alphabet=st.sampled_from("ab1 :=/@\"'{}&?.-_*\\\nPASSWORDpasswordeyJ4"), max_size=200))
def test_whatever_was_redacted_stays_as_it_is(text: str) -> None:
    once = redaction.text(text)
    assert redaction.text(once) == once


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_redacted(name: str, value: str) -> None:
    redaction.named(name, value)
    redaction.arguments([name, value])
    redaction.environment({name: value})


@pytest.mark.parametrize(
    "text",
    [
        "//a:",
        "//:@",
        "eyJ-",
        "eyJaaaaa.",
        "-----BEGIN PRIVATE KEY-----",
        "4111 ",
        'a="',
        "a='\\",
        "a- ",
        "a:",
        "\t",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """The time limit of a test is what fails here: an expression that backtracks takes hours."""
    for _ in range(3):
        redaction.text(text * 10_000)
        redaction.named(text * 1000, text * 10_000)
