import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from sonde_viewer.untrusted import harmless, one_line


def test_escape_sequences_become_visible() -> None:
    assert harmless("\x1b[2J\x07\x9b31m\r") == "\\x1b[2J\\x07\\x9b31m\\r"


def test_marks_that_turn_the_reading_direction_become_visible() -> None:
    assert harmless("a\u202eb\u2066c") == "a\\u202eb\\u2066c"


def test_letters_of_every_script_lines_and_tabs_stay() -> None:
    text = "größer 漢字 👩\u200d💻\n\tnext"
    assert harmless(text) == text


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    left = {unicodedata.category(character) for character in harmless(text) if character not in "\n\t"}
    assert "Cc" not in left


@given(st.text())
def test_a_line_is_one_line_and_no_longer_than_it_may_be(text: str) -> None:
    line = one_line(text, 20)
    assert "\n" not in line
    assert "\t" not in line
    assert len(line) <= 20
