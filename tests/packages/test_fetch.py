"""Wheels are fetched whole or not at all: resumed, checked, and without showing a secret. A server on this machine."""

from __future__ import annotations

import base64
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filelock import FileLock

from sparksmith.base.errors import SparksmithError
from sparksmith.packages import fetch
from sparksmith.packages.fetch import LOCK, WrongHash, drop_wheel, fetch_wheel, wheels_folder
from sparksmith.packages.resolution import WheelFile

pytestmark = pytest.mark.effects
FILE = "torch-2.13.0-cp312-cp312-manylinux_2_28_aarch64.whl"
CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT at every address, as told: `breaks` are the bytes after which each answer breaks off."""

    def __init__(self) -> None:
        self.breaks: list[int] = []
        self.codes: list[int] = []
        self.ranges = True
        self.content = CONTENT
        self.login = ""
        self.redirect = ""
        self.asked: list[tuple[str, str | None, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda request, client_address: None  # clients that go away are what is tested
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.http.server_port}"

    def url(self, login: str = "") -> str:
        return f"http://{login}{self.host}/some/where/{FILE}?signature=secret-word"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted, token = request.headers.get("Range"), request.headers.get("Authorization")
        self.asked.append((request.path, wanted, token))
        if self.redirect and request.path != "/elsewhere":
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        code = self.codes.pop(0) if self.codes else 0
        if self.login and token != "Basic " + base64.b64encode(self.login.encode()).decode():
            code = 401
        if code:
            request.send_error(code)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        body = self.content[start:]
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()
    made.thread.join()


def wheel(server, **more) -> WheelFile:
    return WheelFile(**{"file": FILE, "sha256": SHA256, "bytes": len(CONTENT), "url": server.url(), **more})


def get(one: WheelFile, folder, **more):
    """Fetch without waiting between attempts; how long it would have waited is kept."""
    return fetch_wheel(one, folder, wait=more.pop("waits", []).append, **more)


def test_a_wheel_is_fetched_once(server, tmp_path):
    seen = []
    path = get(wheel(server), tmp_path, progress=lambda *told: seen.append(told))
    assert path == tmp_path / SHA256 / FILE
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (FILE, len(CONTENT), len(CONTENT))
    assert get(wheel(server), tmp_path) == path
    assert len(server.asked) == 1
    assert sorted(entry.name for entry in path.parent.iterdir()) in ([FILE], [LOCK, FILE])


def test_the_users_cache_is_the_place(server, own_home):
    path = get(wheel(server), None)
    assert path.is_relative_to(wheels_folder()) and wheels_folder() == own_home / ".cache/sparksmith/wheels"
    drop_wheel(path)
    assert list(wheels_folder().iterdir()) == []


def test_broken_off_it_goes_on_where_it_was(server, tmp_path):
    server.breaks = [300_000, 200_000]
    waits = []
    path = get(wheel(server), tmp_path, waits=waits)
    assert path.read_bytes() == CONTENT
    assert [wanted for _, wanted, _ in server.asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert waits == [1.0, 1.0]  # every attempt brought something


def test_a_part_of_an_earlier_attempt_is_used(server, tmp_path):
    (tmp_path / SHA256).mkdir()
    (tmp_path / SHA256 / f"{FILE}.part").write_bytes(CONTENT[:700_000])
    assert get(wheel(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[0][1] == "bytes=700000-"


@pytest.mark.parametrize("part", [b"x" * 700_000, b"x" * len(CONTENT), CONTENT + b"more"])
def test_a_part_that_was_of_another_file_is_thrown_away(server, tmp_path, part):
    (tmp_path / SHA256).mkdir()
    (tmp_path / SHA256 / f"{FILE}.part").write_bytes(part)
    assert get(wheel(server), tmp_path).read_bytes() == CONTENT


def test_a_server_that_cannot_go_on_begins_anew(server, tmp_path):
    server.ranges, server.breaks = False, [300_000]
    assert get(wheel(server), tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_and_a_dead_one_is_not_for_ever(server, tmp_path):
    server.codes = [503, 429]
    assert get(wheel(server), tmp_path / "one").read_bytes() == CONTENT
    server.codes = [503] * 20
    waits: list[float] = []
    with pytest.raises(SparksmithError, match=r"could not be fetched from 127\.0\.0\.1: it answers 503"):
        get(wheel(server), tmp_path / "two", waits=waits)
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_another_file_than_the_lock_names_is_refused(server, tmp_path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(WrongHash, match=SHA256):
        get(wheel(server), tmp_path)
    assert not list(tmp_path.rglob("*.whl*"))
    assert len(server.asked) == 1


def test_a_file_larger_than_said_is_not_fetched(server, tmp_path):
    server.content = CONTENT * 2
    with pytest.raises(SparksmithError, match="2048000 bytes at 127"):
        get(wheel(server), tmp_path)


@pytest.mark.parametrize(("code", "said"), [(404, "has no torch"), (403, "asks for a name and password")])
def test_what_the_server_refuses_is_said_without_the_address(server, tmp_path, code, said):
    server.codes = [code]
    with pytest.raises(SparksmithError, match=said) as caught:
        get(wheel(server), tmp_path)
    assert "secret-word" not in f"{caught.value.message} {caught.value.hint}"
    assert len(server.asked) == 1


def test_credentials_are_used_and_not_shown(server, tmp_path, own_home):
    server.login = "me:p@ss secret-word"
    url = server.url("me:p%40ss%20secret-word@")
    assert get(wheel(server, url=url), tmp_path).read_bytes() == CONTENT
    assert "secret-word" not in repr(wheel(server, url=url))
    (own_home / ".netrc").write_text("machine 127.0.0.1 login me password other\n", encoding="utf-8")
    (own_home / ".netrc").chmod(0o600)
    server.login = "me:other"
    assert get(wheel(server), tmp_path / "netrc").read_bytes() == CONTENT
    server.login = "you:else"
    with pytest.raises(SparksmithError) as caught:
        get(wheel(server, url=url), tmp_path / "wrong")
    assert "secret-word" not in f"{caught.value.message} {caught.value.hint}"


def test_credentials_do_not_follow_a_redirection(server, tmp_path):
    server.redirect = f"http://{server.host}/elsewhere"
    assert get(wheel(server, url=server.url("me:secret-word@")), tmp_path).read_bytes() == CONTENT
    (_, _, first), (path, _, second) = server.asked
    assert (first is not None, path, second) == (True, "/elsewhere", None)


def test_without_a_hash_the_address_keeps_files_apart(server, tmp_path):
    one = get(wheel(server, sha256=None, bytes=None), tmp_path)
    two = get(wheel(server, sha256=None, bytes=None, url=server.url() + "2"), tmp_path)
    assert one.parent != two.parent and one.read_bytes() == two.read_bytes() == CONTENT


def test_two_at_once_wait_for_each_other(server, tmp_path):
    threads = [threading.Thread(target=get, args=(wheel(server), tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1


def test_one_that_never_ends_is_not_waited_for_for_ever(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "LOCK_TIMEOUT_SECONDS", 0.01)
    (tmp_path / SHA256).mkdir()
    with FileLock(tmp_path / SHA256 / LOCK), pytest.raises(SparksmithError, match="by another process"):
        get(wheel(server), tmp_path)


def test_a_full_disk_is_foreseen(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "SPARE_BYTES", 10**18)
    with pytest.raises(SparksmithError, match=r"needs 1000\.0 KiB in "):
        get(wheel(server), tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"file": "../../evil.whl"}, {"file": "a\nb.whl"}, {"file": ".whl"}, {"file": "x.tar.xz"},
     {"file": "x.tar.gz", "bytes": 200 << 20}, {"url": None},
     {"url": "ftp://index.example/x.whl"}],
)  # fmt: skip
def test_what_is_not_fetched_at_all(server, tmp_path, change):
    with pytest.raises(SparksmithError):
        get(wheel(server, **change), tmp_path)
    assert server.asked == [] and not list(tmp_path.rglob("*.whl"))


def test_a_wheel_on_this_machine(tmp_path):
    source = tmp_path / FILE
    source.write_bytes(CONTENT)
    one = WheelFile(FILE, SHA256, None, url=source.as_uri())
    assert get(one, tmp_path / "cache").read_bytes() == CONTENT
