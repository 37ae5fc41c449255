"""A server on loopback that remembers what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Heard:
    """What came: paths of GET, and documents of POST. `status` is what it answers."""

    port: int = 0
    status: int = 200
    location: str = ""
    asked: list[str] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Heard]:
    """Listen while the block runs."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Remember the path."""
            heard.asked.append(self.path)
            self._answer()

        def do_POST(self) -> None:
            """Remember the document."""
            heard.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer()

        def _answer(self) -> None:
            self.send_response(heard.status)
            if heard.location:
                self.send_header("Location", heard.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
