"""A hub on this machine with enough of the protocol for downloads."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `files`: hub id -> name -> bytes; `gated` ids are refused."""

    def __init__(self, files, gated=()):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.gated, self.asked = files, gated, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/").split("/")
        if path[:2] == ["api", "models"]:
            self._describe("/".join(path[2:4]), path[4])
        elif path[2:3] == ["resolve"]:
            self._file("/".join(path[:2]), "/".join(path[4:]))
        else:
            self._answer(404, b"{}")

    do_HEAD = do_GET  # noqa: N815

    def _describe(self, name, what):
        files = self.server.files.get(name)
        if files is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif what == "revision":
            siblings = [{"rfilename": file} for file in files]
            about = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings}
            self._answer(200, json.dumps(about).encode())
        else:
            tree = [
                {"type": "file", "path": f, "size": len(d), "oid": "0"} for f, d in files.items()
            ]
            self._answer(200, json.dumps(tree).encode())

    def _file(self, name, file):
        if name in self.server.gated:
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        data = self.server.files[name].get(file)
        if data is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        if self.command == "GET":
            self.server.asked.append(file)
        tag = hashlib.sha256(data).hexdigest()
        self._answer(200, data, {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"'})

    def _answer(self, status, data, headers=()):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **dict(headers)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
