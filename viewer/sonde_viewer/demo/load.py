"""Customers for the shop: one a replica, about five requests a second each, one request at a time.

One at a time, so that while a request stands at a breakpoint its customer waits, and no heap of further
threads runs into the same breakpoint.
"""

import asyncio
import json
import logging
import random
from typing import Any

from sonde_viewer.demo.shop import CATALOGUE, COUPONS

logger = logging.getLogger(__name__)

_PAUSE = 0.2
_PATIENCE = 300.0
"""Seconds that a customer waits: longer than anybody looks at a breakpoint."""


def a_cart(chance: random.Random) -> dict[str, Any]:
    products = chance.sample(sorted(CATALOGUE), k=chance.randint(1, 3))
    cart: dict[str, Any] = {"lines": [[product, chance.randint(1, 3)] for product in products]}
    if chance.random() < 0.1:
        cart["coupon"] = chance.choice(sorted(COUPONS))
    return cart


async def shop_on(port: int, chance: random.Random) -> None:
    """For ever; a shop that is gone or in trouble is tried again after a pause."""
    while True:
        try:
            async with asyncio.timeout(_PATIENCE):
                await _post(port, "/checkout", a_cart(chance))
        except (OSError, TimeoutError) as error:
            logger.debug("the shop on port %d did not answer: %r", port, error)
        await asyncio.sleep(_PAUSE)


async def _post(port: int, path: str, content: Any) -> bytes:
    """HTTP/1.0 (RFC 1945): the answer ends where the connection ends."""
    body = json.dumps(content).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"POST {path} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return await reader.read()
    finally:
        writer.close()
