import pytest

from sonde_viewer.recorded.keys import Goto, Keys, Move, presses


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("n", [Move.NEXT]),
        (" \r", [Move.NEXT, Move.NEXT]),
        ("\x1b[C\x1b[D", [Move.NEXT, Move.PREVIOUS]),
        ("psbaq", [Move.PREVIOUS, Move.NEXT_STOP, Move.STOP_BEFORE, Move.ALL, Move.QUIT]),
        ("g12\rn", ["typing", "typing", "typing", Goto(12), Move.NEXT]),
        ("g 1\x7f2\n", ["typing", "typing", "typing", "typing", "typing", Goto(2)]),
        ("g\rn", ["typing", "nothing", Move.NEXT]),
        ("gqn", ["typing", "nothing", Move.NEXT]),
        ("\x04", [Move.QUIT]),
        ("x\x1b[31~?", ["nothing", "nothing", Move.HELP]),
    ],
)
def test_what_a_key_does(typed: str, expected: list[object]) -> None:
    keys = Keys()
    assert [keys.press(key) for key in presses(typed)] == expected
