"""A stand-in for the Hugging Face hub: the part of its HTTP interface that pushing and fetching a model use."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

GOOD = "hf_good"
READ_ONLY = "hf_readonly"
ODD = "hf_odd"


class Hub:
    """What the stand-in keeps.

    :ivar repositories: of each name, of each branch, the bytes of each file.
    :ivar private: the names of the private ones.
    :ivar cards: the model cards that were sent to be checked.
    :ivar asked: the paths of all questions, in order.
    :ivar is_down: whether it answers every question with an error of its own.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: set[str] = set()
        self.cards: list[str] = []
        self.asked: list[str] = []
        self.is_down = False
        self.uploads: dict[str, bytes] = {}
        self.url = ""

    def commit(self, name: str, branch: str) -> str:
        """The name of what a branch holds: 40 hexadecimal digits."""
        files = {file: content.hex() for file, content in self.repositories[name][branch].items()}
        return hashlib.sha1(json.dumps(files, sort_keys=True).encode(), usedforsecurity=False).hexdigest()

    def files(self, name: str, revision: str) -> dict[str, bytes]:
        """The files of a branch, or of a commit."""
        for branch, files in self.repositories[name].items():
            if revision in (branch, self.commit(name, branch)):
                return files
        raise KeyError(revision)


@contextmanager
def hub_stand_in() -> Iterator[Hub]:
    """A hub that answers on a free port for as long as the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(path)
        if self.hub.is_down:
            self._json(503, {"error": "Service Unavailable"})
            return
        try:
            if path.startswith("/api/models/"):
                self._describe(path.removeprefix("/api/models/"))
            else:
                name, _, rest = path[1:].partition("/resolve/")
                revision, _, file = rest.partition("/")
                content = self.hub.files(name, revision)[file]
                commit = self.hub.commit(name, revision) if revision in self.hub.repositories[name] else revision
                self._send(200, content, {"X-Repo-Commit": commit, "ETag": f'"{_digest(content)}"'})
        except KeyError:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.hub.uploads[self.path.rpartition("/")[2]] = self._body()
        self._send(200)

    def do_POST(self) -> None:
        body, path = self._body(), unquote(urlsplit(self.path).path)
        answers = {f"Bearer {GOOD}": None, f"Bearer {READ_ONLY}": 403, f"Bearer {ODD}": 418}
        if refusal := answers.get(self.headers["Authorization"], 401):
            # A server that shows what it got: no token may come from there to a person's screen.
            self._json(refusal, {"error": f"no, {self.headers['Authorization']}"})
        elif path == "/api/validate-yaml":
            self.hub.cards.append(json.loads(body)["content"])
            self._json(200, {"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._json(
                200, {"transfer": "basic", "objects": [self._place(entry) for entry in json.loads(body)["objects"]]}
            )
        else:
            owner, name, action, branch = path.removeprefix("/api/models/").split("/", 3)
            {"branch": self._branch, "preupload": self._preupload, "commit": self._commit}[action](
                f"{owner}/{name}", branch, body
            )

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            self._json(409, {"url": f"{self.hub.url}/{name}", "error": "You already created this model repo"})
            return
        self.hub.repositories[name] = {"main": {".gitattributes": b"*.onnx filter=lfs\n"}}
        if asked.get("visibility") == "private":
            self.hub.private.add(name)
        self._json(200, {"url": f"{self.hub.url}/{name}"})

    def _branch(self, name: str, branch: str, body: bytes) -> None:
        branches = self.hub.repositories[name]
        known = branch in branches
        branches.setdefault(branch, dict(branches["main"]))
        self._json(409 if known else 200, {"error": "Reference already exists"} if known else {})

    def _preupload(self, name: str, branch: str, body: bytes) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith((".onnx", ".safetensors")) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json(200, {"files": files})

    def _place(self, entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"actions": {"upload": {"href": f"{self.hub.url}/storage/{entry['oid']}"}}}

    def _commit(self, name: str, branch: str, body: bytes) -> None:
        files = self.hub.repositories[name][branch]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = self.hub.commit(name, branch)
        self._json(200, {"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit})

    def _describe(self, path: str) -> None:
        owner, name, *rest = path.split("/")
        name = f"{owner}/{name}"
        revision = "/".join(rest[1:]) if rest else "main"
        try:
            files = self.hub.files(name, revision)
        except KeyError:
            if name not in self.hub.repositories:
                raise
            self._json(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return
        if rest[:1] == ["tree"]:
            self._json(200, [_entry(file, content) for file, content in files.items()])
            return
        commit = self.hub.commit(name, revision) if revision in self.hub.repositories[name] else revision
        names = [{"rfilename": file} for file in files]
        self._json(200, {"id": name, "sha": commit, "private": name in self.hub.private, "siblings": names})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Tests are quiet."""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entry(file: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": file, "size": len(content), "oid": _digest(content)[:40]}
