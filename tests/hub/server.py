"""A hub in a thread: as much of the hub's protocol as huggingface_hub 1.33 and Transformers 5.17 ask of it.

Written from huggingface_hub's own client: the information about a repository (`hf_api.py`), its tree, and `resolve`
with the headers that `file_download.py` reads. Requests for files of 1,000 bytes and more are redirected, as those for
large files are on the hub.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = 1000


@dataclass
class Repository:
    """A model or a dataset: its files at its one commit. `card` is what the YAML of its README says."""

    files: dict[str, bytes]
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    gated: bool = False
    card: dict = field(default_factory=dict)


@dataclass
class Hub:
    """What is served. `broken` says, for owner/name/file, after how many bytes each of the next answers breaks off, a
    negative figure all that follow. `asked` is every request: method, path, and the range."""

    models: dict[str, Repository] = field(default_factory=dict)
    datasets: dict[str, Repository] = field(default_factory=dict)
    broken: dict[str, list[int]] = field(default_factory=dict)
    failing: bool = False  # every answer is an error of the server's
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    address: str = ""

    def downloads(self, file: str) -> list[str | None]:
        """The ranges of the requests for the bytes of owner/name/file, in order."""
        return [span for method, path, span in self.asked if method == "GET" and path.endswith(file)]


def of_folder(folder: Path) -> Repository:
    """A repository of a folder's files."""
    return Repository({path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()})


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """The hub on a free port of this machine, until the end of the block."""

    class Handler(Answers):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Answers(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    served: Hub

    def log_message(self, *arguments) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.served.asked.append((self.command, path, self.headers.get("Range")))
        if self.served.failing:
            return self._error(500, "", "Internal Server Error")
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            return self._api(parts[1:])
        if parts[0] == "large":
            _, kind, owner, name, *rest = parts
            return self._body(kind, f"{owner}/{name}", "/".join(rest))
        kind = "models"
        if parts[0] == "datasets":
            kind, parts = parts[0], parts[1:]
        if len(parts) < 5 or parts[2] != "resolve":
            return self._error(404, "", "no such page")
        return self._resolve(kind, "/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def _api(self, parts: list[str]) -> None:
        """models/owner/name, .../revision/REVISION and .../tree/REVISION/FOLDER."""
        kind, name, rest = parts[0], "/".join(parts[1:3]), parts[3:]
        repository = getattr(self.served, kind, {}).get(name)
        if repository is None:
            return self._error(401, "RepoNotFound", "Repository not found")
        if rest and rest[1] not in {"main", repository.commit}:
            return self._error(404, "RevisionNotFound", "Invalid rev id")
        if rest and rest[0] == "tree":
            folder = "/".join(rest[2:])
            found = [file for file in repository.files if not folder or file.startswith(f"{folder}/")]
            if folder and not found:
                return self._error(404, "EntryNotFound", f"{folder} does not exist", repository.commit)
            return self._json([
                {"type": "file", "path": file, "size": len(repository.files[file]), "oid": etag(repository.files[file])}
                for file in found
            ])  # fmt: skip
        return self._json({
            "id": name, "sha": repository.commit, "private": False, "gated": "auto" if repository.gated else False,
            "tags": [], "downloads": 0, "likes": 0, "cardData": repository.card,
            "siblings": [{"rfilename": file} for file in repository.files],
        })  # fmt: skip

    def _resolve(self, kind: str, name: str, revision: str, file: str) -> None:
        repository = getattr(self.served, kind).get(name)
        if repository is None:
            return self._error(401, "RepoNotFound", "Repository not found")
        if repository.gated and "Authorization" not in self.headers:
            return self._error(401, "GatedRepo", f"Access to {kind[:-1]} {name} is restricted.")
        if revision not in {"main", repository.commit}:
            return self._error(404, "RevisionNotFound", "Invalid rev id")
        if file not in repository.files:
            return self._error(404, "EntryNotFound", "Entry not found", repository.commit)
        if len(repository.files[file]) >= LARGE:
            content = repository.files[file]
            self.send_response(302)
            self.send_header("Location", f"{self.served.address}/large/{kind}/{name}/{file}")
            self.send_header("X-Repo-Commit", repository.commit)
            self.send_header("X-Linked-Etag", etag(content))
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return self._body(kind, name, file)

    def _body(self, kind: str, name: str, file: str) -> None:
        """The file or the range of it that was asked for; broken off where the test wants it so."""
        repository = getattr(self.served, kind)[name]
        content = repository.files[file]
        begin = 0
        if span := self.headers.get("Range"):
            begin = int(span.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", etag(content))
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if self.command == "HEAD":
            return
        if breaks := self.served.broken.get(f"{name}/{file}"):
            size = breaks[0] if breaks[0] < 0 else breaks.pop(0)
            self.wfile.write(content[begin : begin + max(size, 0)])
            self.close_connection = True
            return
        self.wfile.write(content[begin:])

    def _json(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _error(self, status: int, code: str, message: str, commit: str | None = None) -> None:
        data = json.dumps({"error": message}).encode()
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def etag(content: bytes) -> str:
    """As the hub has it for a large file: the SHA-256 of its bytes."""
    return f'"{hashlib.sha256(content).hexdigest()}"'
