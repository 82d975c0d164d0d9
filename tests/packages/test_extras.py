"""The extras of a wheel, from a server of this machine that sends parts of it, and from what is none."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from made_wheels import make_wheel

from sparksmith.packages.extras import fetch_extras
from sparksmith.packages.resolution import WheelFile

METADATA = (
    "Name: sample\nVersion: 1.0\nProvides-Extra: flashinfer\nProvides-Extra: bench\n\nProvides-Extra: no header\n"
)


@pytest.fixture
def wheel(tmp_path):
    noise = bytes(range(251)) * 40_000
    files = {"sample-1.0.dist-info/METADATA": METADATA, "sample/_C.so": noise}
    return make_wheel(tmp_path, files=files)


@pytest.fixture
def server(wheel, monkeypatch):
    """Serves the wheel, and counts what it sent; `parts` is whether it sends parts."""

    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, asked = self.server.content, self.headers.get("Range")
            first, last = 0, len(content) - 1
            if self.server.parts:
                first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
            self.send_response(206 if self.server.parts else 200)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            if self.server.parts:
                self.server.sent += last + 1 - first
                self.wfile.write(content[first : last + 1])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.content, http.sent, http.parts = wheel.read_bytes(), 0, True
    http.file = WheelFile(wheel.name, url=f"http://127.0.0.1:{http.server_port}/{wheel.name}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.mark.effects
def test_a_few_parts_are_fetched(server):
    server.content = b"\0" * 5_000_000 + server.content  # zipfile finds what lies behind
    assert fetch_extras(server.file) == ("flashinfer", "bench")
    assert server.sent < 300_000


@pytest.mark.effects
def test_what_cannot_be_had_is_none(server):
    server.parts = False
    assert fetch_extras(server.file) == ()
    server.parts, server.content = True, b"no zip" * 1000
    assert fetch_extras(server.file) == ()


def test_a_wheel_of_this_machine(wheel, tmp_path):
    assert fetch_extras(WheelFile(wheel.name, url=wheel.as_uri())) == ("flashinfer", "bench")
    assert fetch_extras(WheelFile("gone.whl", url=(tmp_path / "gone.whl").as_uri())) == ()
    assert fetch_extras(WheelFile("nowhere.whl")) == ()
