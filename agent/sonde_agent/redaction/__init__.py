"""What must not leave the process: secrets, told by the name that they go under, by their type, or by what they
look like.

    redaction = Redaction("standard", extra_names=("birthday",), shown_names=("token_count",))
    redaction.hides_name("db_password"), redaction.hides_type("pydantic.types.SecretStr"), redaction.text(anything)

The one home for this: the tap asks it for what it reads by itself, the sidecar for what pydevd says. It would
rather hide too much: a hidden number of tokens can be looked up elsewhere, a password that was shown cannot be
taken back. What has neither a telling name nor a telling shape is not known to be secret, such as `-phunter2`, which
could as well be a port. Standard library only.

    off        nothing is hidden
    standard   secrets are
    strict     every value is; names, types and sizes stay (`shows_values` is false, and who has values honours it)
"""

from collections.abc import Iterable, Mapping, Sequence

from sonde_agent.redaction import names, shapes
from sonde_agent.redaction.names import Verdict
from sonde_agent.redaction.shapes import MASK

__all__ = ["HIDDEN", "LONGEST", "MASK", "MODES", "Redaction"]

MODES = ("off", "standard", "strict")
"""Each hides more than the one before."""
HIDDEN = "<redacted>"
"""In the place of a whole value; `MASK` is for parts of a text."""
LONGEST = 4096
"""Characters of a word or variable that are kept; what was cut off ends as `...`."""
_MOST_KNOWN = 5_000
"""Names that are remembered; then it begins anew."""


class Redaction:
    """Immutable. `extra_names` are hidden too, `shown_names` are not because of their name; both as a whole, whatever
    their case, `-` and `_`. Raises `ValueError` for another mode."""

    def __init__(
        self, mode: str = "standard", extra_names: Iterable[str] = (), shown_names: Iterable[str] = ()
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"{mode[:40]!r} is no mode of redaction: use strict, standard or off")
        self.mode = mode
        self.extra_names = frozenset(filter(None, map(names.normalised, extra_names)))
        self.shown_names = frozenset(filter(None, map(names.normalised, shown_names)))
        self.shows_values = mode != "strict"
        self._known: dict[str, Verdict] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redaction) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.mode, self.extra_names, self.shown_names

    def joined(self, other: "Redaction") -> "Redaction":
        """What both agree to show."""
        mode = max(self.mode, other.mode, key=MODES.index)
        return Redaction(mode, self.extra_names | other.extra_names, self.shown_names & other.shown_names)

    @classmethod
    def said(cls, mode: str, extra_names: Iterable[str], shown_names: Iterable[str]) -> "Redaction":
        """By the other half of the agent; a mode that this version does not know hides everything."""
        return cls(mode if mode in MODES else "strict", extra_names, shown_names)

    # What is asked of values --------------------------------------------------------------------------------------

    def hides_name(self, name: str) -> bool:
        """Whether what goes under that name is hidden: a variable, an attribute, a key, an option, a header."""
        return self._judge(name) is Verdict.SECRET

    def _judge(self, name: str) -> Verdict:
        known = self._known.get(name)
        if known is None:
            known = self._judged(name)
            if len(name) <= names.LONGEST:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[name] = known
        return known

    def _judged(self, name: str) -> Verdict:
        if self.mode == "off":
            return Verdict.HARMLESS
        whole = names.normalised(name)
        if whole in self.extra_names:
            return Verdict.SECRET
        return Verdict.HARMLESS if whole in self.shown_names else names.judge(name)

    def hides_type(self, qualified_type_name: str) -> bool:
        """The module may be missing, where nobody says it."""
        return self.mode != "off" and names.is_secret_type(qualified_type_name)

    def text(self, text: str) -> str:
        """Without what looks like a secret anywhere in it. Does not change what it has already changed."""
        if (
            len(text) < shapes.SHORTEST_WORD and text.isalnum()
        ):  # one short word, as most texts of a program are
            return text
        return text if self.mode == "off" else shapes.hidden(text, self._judge)

    def named(self, name: str, value: str) -> str:
        """The text that goes under that name."""
        return MASK if value and self._hides(name, value) else self.text(value)

    def _hides(self, name: str, value: str) -> bool:
        verdict = self._judge(name)
        return verdict is Verdict.SECRET or (verdict is Verdict.SUSPICIOUS and names.looks_random(value))

    # Command line and environment ---------------------------------------------------------------------------------

    def arguments(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """A command line without its secrets, and the names of those: options, or `argument 3`. Where no values are
        shown, the interpreter, what it runs and the names of options stay."""
        if not self.shows_values:
            return self._only_names(words)
        shown: list[str] = []
        hidden: list[str] = []
        option = ""
        for position, word in enumerate(words):
            follows, option = option, ""
            if follows and not word.startswith("--"):
                clean = MASK
            else:
                follows = ""
                clean = self._argument(word)
                if word.startswith("-") and "=" not in word and self.hides_name(word):
                    option = word
            if clean != _cut(word):
                hidden.append(follows or _option(word) or f"argument {position}")
            shown.append(clean)
        return shown, hidden

    def _argument(self, word: str) -> str:
        name, equals, value = word.partition("=")
        has_name = equals and value and not any(map(str.isspace, name))
        if has_name and self._hides(name, value):
            return f"{_cut(name)}={MASK}"
        return self._cut_text(word)

    def _only_names(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        shown: list[str] = []
        hidden: list[str] = []
        has_program = False
        for position, word in enumerate(words):
            name = _option(word)
            if name:
                # of `-Xdev` or `-phunter2` the letter alone is the name
                clean = name if name.startswith("--") else name[:2]
            elif not position or (not has_program and shown[-1] not in {"-c", "-W", "-X"}):
                has_program = position > 0
                clean = self._cut_text(word)
            else:
                has_program = has_program or shown[-1] == "-c"
                clean = MASK
            if clean != word:
                hidden.append((name and clean) or f"argument {position}")
            shown.append(clean)
        return shown, hidden

    def environment(self, variables: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """The variables without their secrets, and the names of those."""
        shown: dict[str, str] = {}
        hidden: list[str] = []
        for name, value in variables.items():
            clean = self.named(name, _cut(value)) if self.shows_values else MASK if value else ""
            shown[name[: names.LONGEST]] = clean
            if clean != _cut(value):
                hidden.append(name)
        return shown, hidden

    def _cut_text(self, word: str) -> str:
        return self.text(_cut(word))


def _option(word: str) -> str:
    if not word.startswith("-") or any(map(str.isspace, word)):
        return ""
    return word.partition("=")[0][: names.LONGEST]


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 3] + "..."
