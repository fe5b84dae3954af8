"""A small shop over HTTP, with one bug in it.

    GET  /catalogue   what there is
    POST /checkout    {"lines": [["tea", 2], ["mug", 1]], "coupon": "TEN"} -> the order, with its total

All money is in cents. Standard library only, one thread a request.
"""

import itertools
import json
import logging
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

log = logging.getLogger("shop")

CATALOGUE = {
    "tea": 450,
    "coffee": 790,
    "mug": 1200,
    "teapot": 3900,
    "biscuits": 325,
}
COUPONS = {
    "TEN": 10,  # per cent
    "HALF": 50,
}

order_numbers = itertools.count(1)
discounts: dict[str, int] = {}


@dataclass
class Line:
    product: str
    quantity: int
    price: int

    @property
    def cost(self) -> int:
        return self.quantity * self.price


@dataclass
class Cart:
    lines: list[Line]
    coupon: str | None = None

    @property
    def subtotal(self) -> int:
        return sum(line.cost for line in self.lines)


@dataclass
class Order:
    number: int
    subtotal: int
    discount: int
    total: int


def discount_for(cart: Cart) -> int:
    """What the cart's coupon takes off."""
    if cart.coupon not in COUPONS:
        return 0
    if cart.coupon not in discounts:
        discounts[cart.coupon] = cart.subtotal * COUPONS[cart.coupon] // 100
    return discounts[cart.coupon]


def checkout(cart: Cart) -> Order:
    subtotal = cart.subtotal
    discount = discount_for(cart)
    total = subtotal - discount
    if total < 0:
        log.warning("an order of %d cents comes to %d", subtotal, total)  # stop here
    return Order(next(order_numbers), subtotal, discount, total)


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/catalogue":
            self.answer(200, CATALOGUE)
        else:
            self.answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        if self.path != "/checkout":
            self.answer(404, {"error": "not found"})
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        lines = [Line(product, quantity, CATALOGUE[product]) for product, quantity in body["lines"]]
        order = checkout(Cart(lines, body.get("coupon")))
        self.answer(200, asdict(order))

    def answer(self, status: int, content: object) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        print(f"listening on port {server.server_port}", flush=True)  # noqa: T201 - the load asks for it
        server.serve_forever()


if __name__ == "__main__":
    main()
