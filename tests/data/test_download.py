"""Downloads from a server on this machine: checked, whole or absent, and once for many processes."""

import hashlib
import multiprocessing
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from isthmus.data.download import DownloadFailed, fetch

CONTENT = bytes(range(256)) * 9000
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """A server whose `requests` lists the paths asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            if self.path == "/absent":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000] if self.path == "/short" else CONTENT)

        def log_message(self, *_):
            pass

    requests: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests = requests
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_makes_the_folder_and_asks_only_once(server, tmp_path: Path):
    to = tmp_path / "new" / "folder" / "file"
    for _ in range(2):
        fetch(url(server, "file"), to, sha256=SUM)
    assert to.read_bytes() == CONTENT
    assert server.requests == ["/file"]
    assert visible(to.parent) == ["file"]


@pytest.mark.parametrize(
    ("path", "sha256", "says"),
    [
        ("file", "0" * 64, f"has SHA-256 {SUM} instead of 0000"),
        ("short", SUM, "short has SHA-256|IncompleteRead"),
        ("absent", SUM, "absent cannot be fetched into .*404"),
    ],
)
def test_wrong_bytes_leave_nothing(server, tmp_path: Path, path, sha256, says):
    with pytest.raises(DownloadFailed, match=says) as caught:
        fetch(url(server, path), tmp_path / "file", sha256=sha256)
    assert url(server, path) in str(caught.value)
    assert visible(tmp_path) == []


def test_the_next_download_removes_what_a_kill_left(server, tmp_path: Path):
    (tmp_path / ".file.123.abcd.part").write_bytes(b"half")
    fetch(url(server, "file"), tmp_path / "file", sha256=SUM)
    assert visible(tmp_path) == ["file"]


def test_offline(tmp_path: Path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(DownloadFailed, match=r"cannot be fetched into .*refused"):
            fetch(nobody, tmp_path / "file", sha256=SUM)
    assert visible(tmp_path) == []


def test_a_folder_that_cannot_be_made(server, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadFailed, match="cannot be fetched into"):
        fetch(url(server, "file"), tmp_path / "file" / "below", sha256=SUM)
    assert server.requests == []


def test_two_processes_at_once_download_once(server, tmp_path: Path):
    context = multiprocessing.get_context("fork")  # nothing to import again: both start at once
    to = tmp_path / "file"
    processes = [
        context.Process(target=fetch, args=(url(server, "file"), to), kwargs={"sha256": SUM})
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert server.requests == ["/file"]
    assert to.read_bytes() == CONTENT
