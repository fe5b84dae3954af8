"""What secrets look like inside text, and what takes their place.

    shapes   JWT, private keys in PEM, keys of well-known services by their prefix, the password of a URL, cookies
    cards    card numbers whose check digit is right
    pairs    name=value, 'name': value, ('name', value), --name value; a value ends where its quote or bracket does

All is linear in the text. A quantifier without a bound never gives back what it took (it is possessive), and nothing
that can fail comes behind it; so no text makes an expression try twice.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache

from sonde_agent.redaction.names import Verdict, looks_random

MASK = "***"

_NOTHING = frozenset({"", MASK, "None", "True", "False", "null", "true", "false"})
"""Values that are shown under any name."""
_LOOKED_AT = 80
"""Characters of a value that tell whether it looks random."""
_SHORTEST = 6
"""Characters of the shortest text that has a shape."""
SHORTEST_WORD = 10
"""Characters of the shortest secret that is made of letters and digits alone: the number of a card."""


def hidden(text: str, judge: Callable[[str], Verdict]) -> str:
    """The text without its secrets. `judge` is asked for the names in it. Does not change what it has already
    changed."""
    if len(text) >= _SHORTEST and (_hint().search(text) or "earer " in text or "asic " in text):
        text = _without_shapes(text)
    if "=" in text or ":" in text or "'," in text or '",' in text or "--" in text:
        text = _without_pairs(text, judge)
    return text


def _without_shapes(text: str) -> str:
    for part, shape, instead in _shapes():
        if part in text:
            text = shape.sub(instead, text)
    text = _prefixed().sub(MASK, text)
    return _card().sub(_hide_card, text)


def _without_pairs(text: str, judge: Callable[[str], Verdict]) -> str:
    """A value that is shown is searched too: there may be a pair in it."""
    if "ookie" in text:
        text = _cookie().sub(rf"\1{MASK}", text)
    parts: list[str] = []
    done = at = 0
    search = _name().search
    while found := search(text, at):
        at = found.end()
        verdict = judge(found["name"])
        if verdict is Verdict.HARMLESS:
            continue
        if verdict is Verdict.SUSPICIOUS:
            piece = text[at : at + _LOOKED_AT]
            extent = _quoted_or_bare(piece, 0)
            if extent is None or not looks_random(piece[slice(*extent)]):
                continue
        extent = _extent(text, at)
        if extent is None or text[slice(*extent)] in _NOTHING:
            continue
        parts += text[done : extent[0]], MASK
        done = at = extent[1]
    return "".join((*parts, text[done:])) if parts else text


def _extent(text: str, at: int) -> tuple[int, int] | None:
    """Of the value that begins there: within its quotes, or with its brackets."""
    if bracket := _bracket().match(text, at):
        return at, _closed(text, bracket.end() - 1)
    return _quoted_or_bare(text, at)


def _quoted_or_bare(text: str, at: int) -> tuple[int, int] | None:
    found = _value().match(text, at)
    return found.span(found.lastgroup or 0) if found else None


def _closed(text: str, at: int) -> int:
    """Where the bracket at that place is closed; the end of the text where it is not."""
    depth = 0
    while token := _token().match(text, at):
        at = token.end()
        if token.lastgroup == "opening":
            depth += 1
        elif token.lastgroup == "closing":
            depth -= 1
            if not depth:
                return at
    return len(text)


def _hide_card(found: "re.Match[str]") -> str:
    return MASK if _luhn([int(each) for each in found[0] if each.isdecimal()]) else found[0]


def _luhn(digits: Iterable[int]) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    total = 0
    for position, digit in enumerate(reversed(list(digits))):
        doubled = digit * 2 if position % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


# Expressions are made when they are first needed: a program that nobody looks at does not pay for them at its start.


@cache
def _hint() -> "re.Pattern[str]":
    """A part of most shapes, quick to be found missing: each alternative begins with another letter, and rare ones. What
    stands before a sign is looked at after it, so that identifiers, paths and UUIDs are not searched further."""
    cards = "|".join(rf"{first}[0-9]{{3}}[ -]?[0-9]{{3}}" for first in "3456")
    return re.compile(
        r"@|_pat_"
        r"|_(?<=h[pousr]_|ve_|st_|ec_|hf_|pm_|v1_)[A-Za-z0-9+/=]{8}"
        r"|-(?:----BEGIN |(?:(?<=[tpXki]-)|(?<=xox[abeors]-))[A-Za-z0-9_-]{8})"
        r"|\.(?<=29\.|SG\.|v[sbr]\.)[A-Za-z0-9_-]{16}"
        rf"|J[A-Za-z0-9_-]{{8}}|AIza|AKIA|ASIA|ABIA|ACCA|ck\.com/services/|{cards}"
    )


@cache
def _prefixed() -> "re.Pattern[str]":
    shapes = (
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
        r"gh[pousr]_[A-Za-z0-9]{16,}+",  # GitHub
        r"github_pat_[A-Za-z0-9_]{16,}+",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[A-Za-z0-9_-]{16,}+",  # GitLab
        r"xox[abeoprs]-[A-Za-z0-9-]{8,}+",  # Slack
        r"xapp-[A-Za-z0-9-]{8,}+",
        r"[rsp]k_(?:live|test)_[A-Za-z0-9]{8,}+",  # Stripe
        r"whsec_[A-Za-z0-9+/=]{8,}+",
        r"AIza[A-Za-z0-9_-]{30,}+",  # Google
        r"ya29\.[A-Za-z0-9_-]{16,}+",
        r"GOCSPX-[A-Za-z0-9_-]{16,}+",
        r"sk-[A-Za-z0-9_-]{20,}+",  # OpenAI, Anthropic
        r"hf_[A-Za-z0-9]{20,}+",  # Hugging Face
        r"npm_[A-Za-z0-9]{30,}+",
        r"pypi-[A-Za-z0-9_-]{16,}+",
        r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}+",  # SendGrid
        r"do[opr]_v1_[a-f0-9]{32,}+",  # DigitalOcean
        r"hv[sbr]\.[A-Za-z0-9_-]{20,}+",  # HashiCorp Vault
        # JWT (RFC 7519), also without its middle, which a debugger leaves out of a long one
        r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)*+",
    )
    return re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(shapes)})")


@cache
def _card() -> "re.Pattern[str]":
    return re.compile(r"(?<![0-9.])[3-6][0-9]{3}(?:[ -]?[0-9]{3,6}){2,4}(?![0-9]|\.[0-9])")


@cache
def _shapes() -> tuple[tuple[str, "re.Pattern[str]", str], ...]:
    """Each with a part that it always has, and with what takes its place."""
    bearer = r"(?:bearer|basic)\s{1,4}"
    return (
        (
            "-----BEGIN ",
            re.compile(
                r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
                r"(?:[^-]++|-(?!----END))*+(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
            ),
            MASK,
        ),
        ("hooks.slack.com", re.compile(r"(?<=hooks\.slack\.com/services/)[^\s\"']++"), MASK),
        # `//user:password@host`, but not `//host:8080/@`: a port is followed by a path.
        (
            "@",
            re.compile(
                r"(//[^\s:/?#@\"']{0,256}+:)(?!\d{1,5}(?:[/?#]|$))"
                r"[^\s\"'@]{1,256}+(?:@[^\s\"'@/]{1,256}+(?=@)){0,4}(?=@)"
            ),
            rf"\1{MASK}",
        ),
        # the same where a library has taken the scheme away, as a value of its own
        (
            "@",
            re.compile(r"((?:^|[\"'])[\w.+-]{1,64}:)(?!//)[^\s\"'@/]{1,256}+(?=@(?!sha256:)\w)"),
            rf"\1{MASK}",
        ),
        (
            " ",
            re.compile(
                rf"((?:^|[\"']){bearer})[\w+/=.~-]{{4,}}+|((?<!\w){bearer})(?=[^\s]{{0,40}}[0-9A-Z])[\w+/=.~-]{{16,}}+",
                re.IGNORECASE,
            ),
            rf"\1\2{MASK}",
        ),
    )


@cache
def _cookie() -> "re.Pattern[str]":
    return re.compile(r"(cookie2?\s{0,4}:\s{0,4})(?![\s*])[^\r\n\"']++", re.IGNORECASE)


@cache
def _name() -> "re.Pattern[str]":
    """A name and what is between it and its value. The quotes of a text within a text have backslashes before them."""
    return re.compile(
        r"(?<![\w.-])(?P<option>--)?-?(?P<name>[^\W\d][\w.-]*+)"
        r"(?:\\{0,7}[\"']?\]?\s{0,4}(?:=>|={1,3}|:(?!//))\s{0,4}"
        r"|\\{0,7}[\"']\s{0,4},\s{0,4}(?=[bBuUrRfF]{0,2}\\{0,7}[\"'])"
        r"|(?(option)\s(?!-)|(?!)))"
    )


@cache
def _value() -> "re.Pattern[str]":
    """Quoted, of an object without a better text, a scheme with its credentials, or up to the next separator."""
    return re.compile(
        r"[bBuUrRfF]{0,2}(?:"
        r"\"{3}(?P<three>(?:[^\"\\]++|\\.|\"(?!\"\"))*+)"
        r"|'{3}(?P<other_three>(?:[^'\\]++|\\.|'(?!''))*+)"
        r"|\"(?P<one>(?:[^\"\\]++|\\.)*+)"
        r"|'(?P<other>(?:[^'\\]++|\\.)*+)"
        r"|\\{1,7}[\"'](?P<inner>[^\"'\\]*+)"
        r")|<[^<>\n]*+>?"
        r"|(?i:basic|bearer|digest|negotiate|token)\s{1,4}[^\s\"',;]++"
        r"|[^\s\"',;&}\])]++",
        re.DOTALL,
    )


@cache
def _bracket() -> "re.Pattern[str]":
    return re.compile(r"(?:[^\W\d][\w.]*+)?[(\[{]")


@cache
def _token() -> "re.Pattern[str]":
    return re.compile(
        r"\"(?:[^\"\\]++|\\.)*+\"?|'(?:[^'\\]++|\\.)*+'?|(?P<opening>[(\[{])|(?P<closing>[)\]}])|[^\"'()\[\]{}]++",
        re.DOTALL,
    )
