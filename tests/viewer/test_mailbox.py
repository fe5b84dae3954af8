import pytest

from sonde_viewer.errors import ConnectionLost
from sonde_viewer.mailbox import Mailbox


async def test_when_full_the_oldest_goes_and_is_counted() -> None:
    mailbox: Mailbox[int] = Mailbox(limit=2)
    for number in range(5):
        mailbox.put(number)
    mailbox.close()
    assert [each async for each in mailbox] == [3, 4]
    assert mailbox.lost == 3


async def test_what_arrived_is_read_before_the_failure_is_raised() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.fail(ConnectionLost("gone"))
    mailbox.put(2)
    assert await anext(mailbox) == 1
    with pytest.raises(ConnectionLost, match="gone"):
        await anext(mailbox)
