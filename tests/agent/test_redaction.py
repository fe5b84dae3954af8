"""Secrets do not leave, under whatever name they go and whatever they look like; what is none stays readable."""

# Word lists that are written as lists fill pages.
# ruff: noqa: SIM905

import re
import string
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.redaction import LONGEST, MASK, Redaction, names, shapes

redaction = Redaction()

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
    assert redaction.hides_name(name)
    assert redaction.named(name, "x") == MASK


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_a_name_that_only_sounds_like_one_hides_nothing(name: str) -> None:
    assert not redaction.hides_name(name)
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
        ("eyJhbGciOiJ", "***"),
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


def test_an_environment_tells_which_of_it_was_hidden() -> None:
    shown, hidden = redaction.environment(
        {"PATH": "/bin", "DB_PASSWORD": "a", "URL": "x://u:b@h", "TOKEN": ""}
    )
    assert shown == {"PATH": "/bin", "DB_PASSWORD": MASK, "URL": f"x://u:{MASK}@h", "TOKEN": ""}
    assert hidden == ["DB_PASSWORD", "URL"]


def test_a_long_word_of_a_command_line_is_cut_and_a_text_is_not() -> None:
    assert len(redaction.arguments(["x" * 10_000])[0][0]) == LONGEST
    assert len(redaction.text("x" * 10_000)) == 10_000


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
    ("text", "shown"),
    [
        # inside of other text: a value that is shown is searched too
        ('x = "psql password=hunter2 host=h"', 'x = "psql password=*** host=h"'),
        ('\'{"password": "hunter2"}\'', '\'{"password": "***"}\''),
        ('"{\\"password\\": \\"hunter2\\"}"', '"{\\"password\\": \\"***\\"}"'),
        # representations of objects
        ("User(name='ana', api_key='hunter2')", "User(name='ana', api_key='***')"),
        ("Login(password=Plain('hunter2'), n=1)", "Login(password=***, n=1)"),
        ("{'credentials': {'a': 'hunter2', 'b': [')']}, 'n': 1}", "{'credentials': ***, 'n': 1}"),
        ("{b'password': b'hunter2'}", "{b'password': b'***'}"),
        ("[('Authorization', 'Bearer hunter2')]", "[('Authorization', '***')]"),
        ("(b'cookie', b'hunter2')", "(b'cookie', b'***')"),
        ("['serve', '--token', 'hunter2']", "['serve', '--token', '***']"),
        ("serve --token hunter2 --port 80", "serve --token *** --port 80"),
        ("password=None, token=''", "password=None, token=''"),
        ("{'token': 'hunter2 that was cut o", "{'token': '***"),
        ("{'credentials': {'a': 'hunter2 that was cut o", "{'credentials': ***"),
        ("'Bearer hunter2'", "'Bearer ***'"),
        ("SplitResult(scheme='x', netloc='u:hunter2@h')", "SplitResult(scheme='x', netloc='u:***@h')"),
        ("'eyJhbGciOiJub25lIn0.hunter...ter2'", "'***'"),
        ("image: python:3.13@sha256:00ff", "image: python:3.13@sha256:00ff"),
        ("os.environ['DB_PASSWORD'] = 'hunter2'", "os.environ['DB_PASSWORD'] = '***'"),
    ],
)
def test_what_debuggers_show_is_searched_for_pairs(text: str, shown: str) -> None:
    assert redaction.text(text) == shown


@pytest.mark.parametrize(
    "name",
    "SecretStr SecretBytes pydantic.types.SecretStr starlette.datastructures.Secret HTTPBasicAuth Credentials "
    "google.oauth2.credentials.Credentials cryptography.hazmat.primitives.asymmetric.rsa.RSAPrivateKey "
    "cryptography.hazmat.bindings._rust.openssl.ed25519.Ed25519PrivateKey Fernet sqlalchemy.engine.url.URL "
    "RequestsCookieJar Secret[str]".split(),
)
def test_types_that_hold_secrets_are_hidden(name: str) -> None:
    assert redaction.hides_type(name)
    assert not Redaction("off").hides_type(name)


@pytest.mark.parametrize(
    "name", "str User shop.Order yarl.URL TokenBucket PasswordHasher function list[str]".split()
)
def test_types_that_only_sound_like_it_are_shown(name: str) -> None:
    assert not redaction.hides_type(name)


def test_nothing_is_hidden_when_that_was_configured() -> None:
    off = Redaction("off", ["ward"])
    assert off.text("password=hunter2") == "password=hunter2"
    assert off.arguments(["--token", "hunter2"]) == (["--token", "hunter2"], [])
    assert off.environment({"TOKEN": "hunter2"}) == ({"TOKEN": "hunter2"}, [])
    assert not off.hides_name("password") and not off.hides_name("ward") and off.shows_values


def test_where_no_values_are_shown_command_line_and_environment_keep_their_names() -> None:
    strict = Redaction("strict")
    assert not strict.shows_values
    words = ["python", "-Xdev", "-m", "shop", "serve", "--port=80", "-phunter2", "--name", "ana"]
    shown, hidden = strict.arguments(words)
    assert shown == ["python", "-X", "-m", "shop", MASK, "--port", "-p", "--name", MASK]
    assert hidden == ["-X", "argument 4", "--port", "-p", "argument 8"]
    assert strict.arguments(["python", "-c", "print('hunter2')", "x"])[0] == ["python", "-c", MASK, MASK]
    assert strict.environment({"A": "b", "C": ""}) == ({"A": MASK, "C": ""}, ["A"])


def test_further_names_are_hidden_and_others_shown_whatever_their_case() -> None:
    own = Redaction("standard", ["Birth-Day"], ["session_key"])
    assert own.hides_name("birth_day") and own.hides_name("birthDay")
    assert own.text("birth_day='1.1.70' session_key=abc") == "birth_day='***' session_key=abc"
    assert own.text("session_key=AKIAIOSFODNN7EXAMPLE") == "session_key=***"


def test_of_two_the_one_that_hides_more_holds() -> None:
    one = Redaction("off", ["a"], ["token", "pin"])
    other = Redaction("strict", ["b"], ["pin"])
    assert one.joined(other) == other.joined(one) == Redaction("strict", ["a", "b"], ["pin"])
    assert Redaction.said("of another version", [], []).mode == "strict"
    with pytest.raises(ValueError, match="use strict, standard or off"):
        Redaction("non")


def test_a_name_that_is_long_is_told_by_both_its_ends() -> None:
    assert redaction.hides_name("x" * 1000 + "_password")
    assert redaction.hides_name("password_" + "x" * 1000)
    assert redaction.text("x" * 1000 + "_password=hunter2").endswith("=***")


sre: Any = import_module("re._parser")
"""How `re` reads a pattern; it has no other name."""


def patterns() -> list["re.Pattern[str]"]:
    made = [
        getattr(shapes, name)()
        for name in ("_hint", "_prefixed", "_card", "_cookie", "_name", "_value", "_bracket", "_token")
    ]
    return [*made, *(shape for _, shape, _ in shapes._shapes())]


def test_no_expression_can_try_twice() -> None:
    """The bound on steps: what is repeated without a bound is never given back, and a bound is small."""

    def repeats(parsed: Any) -> Iterator[tuple[str, int]]:
        for code, argument in parsed:
            if str(code).endswith("_REPEAT"):
                yield str(code), int(argument[1])
            for each in argument if isinstance(argument, tuple | list) else [argument]:
                if isinstance(each, sre.SubPattern):
                    yield from repeats(each)
                elif isinstance(each, list):
                    yield from (
                        found for one in each if isinstance(one, sre.SubPattern) for found in repeats(one)
                    )

    found = [each for pattern in patterns() for each in repeats(sre.parse(pattern.pattern, pattern.flags))]
    assert len(found) > 30
    assert [each for each in found if each[0] != "POSSESSIVE_REPEAT" and each[1] > 90] == []


PIECES = [
    "//a:",
    "//a:@@",
    "eyJ-",
    "-----BEGIN PRIVATE KEY-----",
    "4111 ",
    'a="',
    "a='\\",
    "a- ",
    "key=",
    "key={",
]
PIECES += [
    "key='",
    "'password', ",
    "password=(",
    "\\'password\\': \\'",
    "SG.aaaa-",
    "bearer aaa ",
    "--token ",
    "<",
]


@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_text_takes_twice_the_steps(piece: str) -> None:
    """Steps of ours, each of which looks at text that the one before has not: names that are judged."""
    counts = []
    for size in (1 << 15, 1 << 16):
        judged = 0

        def judge(name: str) -> names.Verdict:
            nonlocal judged
            judged += 1
            return names.judge(name)

        shapes.hidden(piece * (size // len(piece)), judge)
        counts.append(judged)
    assert counts[1] <= 2 * counts[0] + 2 and counts[1] <= (1 << 16) // 2


@pytest.mark.parametrize("piece", PIECES)
def test_a_text_of_a_mebibyte_is_searched(piece: str) -> None:
    """The time limit of a test is what fails here: an expression that backtracks takes hours."""
    text = redaction.text(piece * ((1 << 20) // len(piece)) + " password=hunter2")
    assert "hunter2" not in text
    redaction.named(piece * 1000, piece * 10_000)


BEGINNINGS = [
    "eyJ",
    "AKIA",
    "ghp_",
    "github_pat_",
    "xoxb-",
    "sk_live_",
    "sk-",
    "SG.",
    "ya29.",
    "AIza",
    "Bearer ",
]
BEGINNINGS += [
    "-----BEGIN PRIVATE KEY-----",
    "//u:",
    "@",
    "4111",
    "hooks.slack.com/services/",
    "netloc='",
    "basic ",
]
BEGINNINGS += [
    "Cookie: ",
    "--token ",
    "'pin', '",
    "pw=",
    "hvs.",
    "pypi-",
    "npm_",
    "glpat-",
    "whsec_",
    "b'",
    " ",
    "\n",
]
PREFIXES = (
    "ABIA ACCA AIza AKIA ASIA GOCSPX- SG. doo_v1_ dop_v1_ dor_v1_ eyJ gho_ ghp_ ghr_ ghs_ ghu_ github_pat_ glagent- glcbt- "
    "gldt- glft- glimt- glpat- glptt- glrt- glsoat- hf_ hvb. hvr. hvs. npm_ pk_live_ pypi- rk_test_ sk- sk_live_ whsec_ "
    "xapp- xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- ya29."
).split()
BEGINNINGS += PREFIXES


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_key_is_known_by_its_prefix_alone(prefix: str) -> None:
    body = "01278901" * (2 if prefix in {"ABIA", "ACCA", "AKIA", "ASIA"} else 4)
    key = f"{prefix}{body}.{body}" if prefix == "SG." else prefix + body
    assert redaction.text(key) == MASK


@given(
    st.lists(
        st.sampled_from(BEGINNINGS) | st.text(string.ascii_letters + string.digits + "-_.=", max_size=20),
        max_size=8,
    ).map("".join)
)
def test_what_is_quick_to_find_missing_is_missing(text: str) -> None:
    slow = shapes._without_pairs(shapes._without_shapes(text), names.judge)
    assert redaction.text(text) == slow
    assert redaction.text(slow) == slow
