"""A shop over HTTP that knows nothing of Sonde: something to point a debugger at.

GET /healthz           200
GET /total?tea=2&mug=1 the price of a basket in cents, as JSON
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from urllib.parse import parse_qsl, urlsplit

PRICES = {"tea": 450, "coffee": 790, "mug": 1200}
PORT = int(os.environ.get("PORT", "8000"))


def total(basket: dict[str, int]) -> int:
    return sum(PRICES[product] * count for product, count in basket.items())


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/healthz":
            self.answer(200, {"status": "ok"})
        elif url.path == "/total":
            try:
                basket = {product: int(count) for product, count in parse_qsl(url.query)}
                self.answer(200, {"total": total(basket)})
            except (KeyError, ValueError):
                self.answer(400, {"error": f"a basket is made of {', '.join(PRICES)}, each with a count"})
        else:
            self.answer(404, {"error": "not found"})

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Silent: probes ask every few seconds."""


def leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, leave)  # the first process of a container gets no default handler
    with ThreadingHTTPServer(("", PORT), Shop) as server:
        sys.stdout.write(f"listening on port {server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
