"""Commands that arrive twice, and how much of them is remembered."""

from sonde_agent.sidecar.once import Once


def test_a_command_is_new_once_and_its_repeat_finds_the_reply() -> None:
    once = Once()
    assert once.is_new("a") and not once.is_new("a")
    assert once.reply("a") == b""
    once.answered("a", b"done")
    assert (once.reply("a"), once.reply("b")) == (b"done", b"")


def test_the_oldest_ids_are_forgotten() -> None:
    once = Once(most=2)
    for each in ("a", "b", "c"):
        assert once.is_new(each)
    once.answered("a", b"too late")
    assert once.reply("a") == b""
    assert not once.is_new("c") and once.is_new("a")


def test_large_replies_are_forgotten_before_their_ids() -> None:
    once = Once(most_bytes=10)
    for number in range(100):
        assert once.is_new(str(number))
        once.answered(str(number), b"12345678")
    assert once.reply("99") == b"12345678"
    assert once.reply("98") == b"" and not once.is_new("98")
    assert once.is_new("huge")
    once.answered("huge", b"12345678901")
    assert once.reply("huge") == b""
