"""A stand-in for the gateway on loopback, which answers by route and tells what reached it."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Stub:
    """Stands where the gateway stands: answers by route, and tells what reached it."""

    answers: dict[str, tuple[int, dict[str, str], bytes]]
    reached: list[str] = field(default_factory=list)
    port: int = 0


@contextmanager
def stub(tls: tuple[Path, Path] | None, **answers: tuple[int, dict[str, str], bytes]) -> Iterator[Stub]:
    found = Stub(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            route = self.path.rpartition("/")[2].replace("-", "_")
            found.reached.append(route)
            status, headers, body = found.answers.get(route, (200, {}, b""))
            self.send_response(status)
            for name, value in {"content-type": "application/x-protobuf", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
