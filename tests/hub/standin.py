"""A small Hub on this machine: the requests that huggingface_hub makes to make, read and change repositories.

Source of the paths and fields: huggingface/huggingface_hub:src/huggingface_hub (`hf_api.py`, `_commit_api.py`,
`file_download.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_OnlyForTestsOnlyForTests"


@dataclass
class Repository:
    private: bool
    branches: dict[str, str]
    """Name: commit"""
    commits: dict[str, dict[str, bytes]]
    claims_bytes: int = 0
    """What it says that its files have, if not 0."""


@dataclass
class Hub:
    """What is there, what was asked, and what goes wrong."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    commits: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Pattern of "METHOD path": (status, message); status 0: no answer for a while."""
    url: str = ""

    def add(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """A commit with `files` on top of the branch; its id."""
        there = self.repositories.setdefault(repo, Repository(False, {}, {}))
        before = there.commits.get(there.branches.get(branch, there.branches.get("main", "")), {})
        commit = hashlib.sha1(f"{repo} {len(there.commits)}".encode()).hexdigest()
        there.commits[commit] = {**before, **files}
        there.branches[branch] = commit
        return commit

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        there = self.repositories[repo]
        return there.commits[there.branches.get(revision, revision)]

    def changes(self) -> list[tuple[str, str]]:
        """Requests that are not only reading."""
        return [(method, path) for method, path in self.requests if method not in ("GET", "HEAD")]


class RefusedError(Exception):
    """Status, message and, for some, the Hub's code."""


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, path))
        asked = f"{self.command} {path}"
        faults = [fault for pattern, fault in self.hub.faults.items() if re.search(pattern, asked)]
        if faults and not faults[0][0]:
            time.sleep(1.5)
            return
        try:
            if faults:
                raise RefusedError(*faults[0])
            self._answer(asked)
        except RefusedError as error:
            status, message, code = error.args if len(error.args) == 3 else (*error.args, "")
            self._send(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code} if code else {})

    def _answer(self, asked: str) -> None:
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, asked):
                return answer(self, *found.groups())
        raise RefusedError(404, f"no route for {asked}")

    def _json(self, data: Any) -> None:
        self._send(200, json.dumps(data).encode(), {})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _check_token(self) -> None:
        given = self.headers.get("Authorization")
        if given != f"Bearer {TOKEN}":
            raise RefusedError(401, f"Invalid credentials in Authorization header {given}")

    def _commit(self, repo: str, revision: str) -> tuple[Repository, str]:
        """The repository and the commit that a branch or a commit names."""
        if repo not in self.hub.repositories:
            raise RefusedError(404, "Repository not found", "RepoNotFound")
        there = self.hub.repositories[repo]
        commit = there.branches.get(revision, revision)
        if commit not in there.commits:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return there, commit

    def create(self) -> None:
        self._check_token()
        asked = json.loads(self.body)
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in self.hub.repositories:
            answer = {"error": "You already created this model repo", "url": f"{self.hub.url}/{repo}"}
            return self._send(409, json.dumps(answer).encode(), {})
        self.hub.add(repo, {".gitattributes": b""})
        self.hub.repositories[repo].private = asked.get("visibility") == "private"
        return self._json({"url": f"{self.hub.url}/{repo}"})

    def info(self, repo: str, revision: str | None) -> None:
        there, commit = self._commit(repo, revision or "main")
        siblings = [{"rfilename": name} for name in sorted(there.commits[commit])]
        self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "private": there.private})

    def branch(self, repo: str, name: str) -> None:
        self._check_token()
        there = self.hub.repositories[repo]
        there.branches[name] = there.branches["main"]
        self._json({})

    def validate(self) -> None:
        if not json.loads(self.body)["content"].startswith("---\n"):
            raise RefusedError(400, "no metadata")
        self._json({"warnings": [], "errors": []})

    def preupload(self, repo: str, revision: str) -> None:
        self._check_token()
        there = self.hub.files(repo, revision)
        names = [file["path"] for file in json.loads(self.body)["files"]]
        modes = {"uploadMode": "regular", "shouldIgnore": False}
        self._json({"files": [{"path": name, "oid": _oid(there.get(name)), **modes} for name in names]})

    def commit(self, repo: str, revision: str) -> None:
        self._check_token()
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        there, pull = self.hub.repositories[repo], "create_pr=1" in self.path
        if header.get("parentCommit") not in (None, there.branches[revision]):
            raise RefusedError(412, "A commit has happened since. Please refresh and try again.")
        sent = [line["value"] for line in lines if line["key"] == "file"]
        files = {file["path"]: base64.b64decode(file["content"]) for file in sent}
        said = {"repo": repo, "revision": revision, "pull": pull, "summary": header["summary"]}
        self.hub.commits.append({**said, "files": files, "keys": [line["key"] for line in lines]})
        oid = self.hub.add(repo, files, "refs/pr/1" if pull else revision)
        url = f"{self.hub.url}/{repo}"
        answer = {"success": True, "commitOid": oid, "commitUrl": f"{url}/commit/{oid}"}
        self._json(answer | ({"pullRequestUrl": f"{url}/discussions/1"} if pull else {}))

    def resolve(self, repo: str, revision: str, name: str) -> None:
        there, commit = self._commit(repo, revision)
        content = there.commits[commit].get(name)
        if content is None:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        sizes = {"X-Linked-Size": str(there.claims_bytes)} if there.claims_bytes else {}
        self._send(200, content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": commit, **sizes})


_REPO = r"([\w.\-]+/[\w.\-]+)"
_ROUTES: list[tuple[str, Any]] = [
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"GET /api/models/{_REPO}(?:/revision/(.+))?", Handler.info),
    (rf"POST /api/models/{_REPO}/branch/(.+)", Handler.branch),
    (rf"POST /api/models/{_REPO}/preupload/(.+)", Handler.preupload),
    (rf"POST /api/models/{_REPO}/commit/(.+)", Handler.commit),
    (rf"(?:GET|HEAD) /{_REPO}/resolve/([^/]+)/(.+)", Handler.resolve),
]


def _oid(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def started() -> tuple[Hub, ThreadingHTTPServer]:
    """A Hub that answers on this machine until the server is shut down."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return hub, server
