"""Each fetch talks to a real server on 127.0.0.1 that follows a script, one entry per request."""

import hashlib
import io
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import pytest

from stages.core import progress as progress_module
from stages.core.files import InputError
from stages.core.progress import progress
from stages.sources import fetch as module
from stages.sources.fetch import Mirror, Step, cache_folder, decide, fetch

BODY = random.Random(0).randbytes(20_000)
OTHER = random.Random(1).randbytes(20_000)
HALF = len(BODY) // 2
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
SHA1 = "sha1:" + hashlib.sha1(BODY).hexdigest()
HINT = "Set sources.imdb.full.urls to a file of yours."

Reply = Callable[[BaseHTTPRequestHandler], None]


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        script = self.server.scripts[self.path]
        self.server.log.append((self.path, dict(self.headers)))
        reply = script.pop(0) if len(script) > 1 else script[0]  # the last entry stays
        reply(self)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts: dict[str, list[Reply]] = {}
        self.log: list[tuple[str, dict[str, str]]] = []
        self.scheme = "http"

    def at(self, path: str, *script: Reply) -> str:
        """Script what `path` replies; returns its URL."""
        self.scripts[path] = list(script)
        return f"{self.scheme}://127.0.0.1:{self.server_port}{path}"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.log]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up is part of the game


def status(code: int, body: bytes = b"", **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def serves(
    body: bytes = BODY,
    *,
    cut: int | None = None,
    etag: str | None = '"one"',
    ranges: bool = True,
    if_range: bool = True,
    shift: int = 0,
    length: bool = True,
) -> Reply:
    """A file server; `cut` bytes at most go out, `shift` makes its Content-Range wrong."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        current = not if_range or handler.headers.get("If-Range") in (None, etag)
        start = int(asked[1]) if asked and ranges and current else 0
        if asked and start >= len(body):
            return status(416, Content_Range=f"bytes */{len(body)}")(handler)
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start + shift}-{len(body) - 1}/{len(body)}")
        if length:
            handler.send_header("Content-Length", str(len(body) - start))
        if etag:
            handler.send_header("ETag", etag)
        handler.end_headers()
        handler.wfile.write(body[start:][:cut])

    return reply


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTIDOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "READ_TIMEOUT", 5.0)
    monkeypatch.setattr(module, "CHUNK", 1000)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def get(*urls: str | Path, hash: str | None = SHA256, size: int | None = len(BODY)) -> Path:
    return fetch("imdb", [Mirror(str(url), hash, size) for url in urls], HINT)


def cached_files() -> list[Path]:
    """What a later run could take for a finished file, or go on with."""
    files = (path for path in (cache_folder() / "downloads").rglob("*") if path.is_file())
    return [path for path in files if not path.name.endswith((".lock", ".json"))]


# Plain downloads and the cache


@pytest.mark.parametrize("hash", [SHA256, SHA1, SHA256.upper().replace("SHA", "sha"), None])
def test_downloads_once_then_makes_no_request(server: Server, hash: str | None) -> None:
    url = server.at("/data/aclImdb_v1.tar.gz", serves())
    path = get(url, hash=hash)
    assert path.read_bytes() == BODY
    assert path.name == "aclImdb_v1.tar.gz"
    assert path.is_relative_to(cache_folder() / "downloads")
    assert get(url, hash=hash) == path
    assert len(server.log) == 1
    assert cached_files() == [path]


def test_says_who_asks_and_asks_for_the_bytes_as_they_are(server: Server) -> None:
    get(server.at("/a.zip", serves()))
    _, headers = server.log[0]
    assert headers["User-Agent"] == "sentidog"
    assert headers["Accept-Encoding"] == "identity"
    assert "Range" not in headers


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a.zip?download=1", "a.zip"),
        ("/", "download"),
        ("/%2e%2e%2fetc%2fpass%20wd", "pass_wd"),
        ("/..%5C.hidden", "_.hidden"),
    ],
)
def test_file_name_comes_from_the_url_and_is_harmless(path: str, name: str) -> None:
    assert Mirror(f"https://127.0.0.1{path}", None, None).file_name == name


@pytest.mark.parametrize("hash", [SHA256, None])
def test_cached_file_is_used_though_its_mirror_stands_second(server: Server, hash: str | None) -> None:
    first, second = server.at("/a.zip", status(404)), server.at("/b.zip", serves())
    path = get(second, hash=hash)
    assert get(first, second, hash=hash) == path
    assert len(server.log) == 1


def test_unchanged_cached_file_is_not_hashed_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.at("/a.zip", serves())
    path = get(url)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert get(url) == path


def test_touched_cached_file_is_hashed_and_kept(server: Server) -> None:
    url = server.at("/a.zip", serves())
    path = get(url)
    os.utime(path, (1, 1))
    assert get(url) == path
    assert len(server.log) == 1


def test_damaged_cached_file_is_downloaded_again(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.at("/a.zip", serves())
    get(url).write_bytes(OTHER)
    assert get(url).read_bytes() == BODY
    assert len(server.log) == 2
    assert re.search(r"imdb: .*a\.zip in the cache .*; deleted", capsys.readouterr().err)


def test_threads_that_want_the_same_file_download_it_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        serves()(handler)

    url = server.at("/a.zip", slow)
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(get(url))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert [path.read_bytes() for path in paths] == [BODY, BODY]
    assert len(server.log) == 1
    assert "imdb: waiting for another download of the same file" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "cache"])
def test_cache_folder_that_cannot_be_made(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    monkeypatch.setenv("SENTIDOG_CACHE", str(blocker / below))
    with pytest.raises(InputError, match=rf"{blocker / below}: cannot be written(?s:.*)SENTIDOG_CACHE"):
        get(server.at("/a.zip", serves()))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without room")
def test_disk_full(server: Server) -> None:
    with pytest.raises(InputError):
        get(server.at("/a.zip", serves(cut=0)))  # leaves an empty part, whose place the full disk takes
    (part,) = cached_files()
    part.unlink()
    part.symlink_to("/dev/full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Slot, "drop_part", lambda _: None)
        with pytest.raises(InputError, match=r"cannot be written: No space left(?s:.*)SENTIDOG_CACHE"):
            get(server.at("/a.zip", serves()))


# Broken transfers


def test_resumes_within_one_call(server: Server) -> None:
    url = server.at("/a.zip", serves(cut=HALF), serves())
    assert get(url).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert server.log[1][1]["If-Range"] == '"one"'


@pytest.mark.parametrize("hash", [SHA256, None])
def test_resumes_in_a_later_run(server: Server, monkeypatch: pytest.MonkeyPatch, hash: str | None) -> None:
    url = server.at("/a.zip", serves(cut=HALF), serves())
    monkeypatch.setattr(module, "TRIES", 1)
    with pytest.raises(InputError, match="broke off after 10,000 of 20,000 bytes"):
        get(url, hash=hash)
    assert get(url, hash=hash).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_each_try_with_progress_resets_the_count(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 3)
    url = server.at("/a.zip", serves(cut=1000))
    assert get(url).read_bytes() == BODY
    assert len(server.log) == 20


def test_gives_up_without_progress(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 3)
    with pytest.raises(InputError, match="tried 3 times"):
        get(server.at("/a.zip", serves(cut=HALF, ranges=False)))  # always the same half
    assert len(server.log) == 3


def test_server_that_ignores_range_sends_the_whole_file(server: Server) -> None:
    url = server.at("/a.zip", serves(cut=HALF), serves(ranges=False))
    assert get(url, hash=None).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_wrong_content_range_starts_over(server: Server) -> None:
    url = server.at("/a.zip", serves(cut=HALF), serves(shift=1), serves())
    assert get(url, hash=None).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={HALF}-", None]


@pytest.mark.parametrize("if_range", [True, False])
def test_changed_file_is_not_glued_to_the_old_half(server: Server, if_range: bool) -> None:
    url = server.at("/a.zip", serves(OTHER, cut=HALF), serves(etag='"two"', if_range=if_range))
    assert get(url, hash=None).read_bytes() == BODY


def test_halves_are_not_glued_when_nothing_tells_that_they_fit(server: Server) -> None:
    url = server.at("/a.zip", serves(OTHER, cut=HALF, etag=None), serves(etag=None))
    assert get(url, hash=None).read_bytes() == BODY
    assert server.ranges == [None, None]


def test_wrong_hash_after_a_resume_starts_over(server: Server) -> None:
    url = server.at("/a.zip", serves(OTHER, cut=HALF), serves())
    assert get(url).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={HALF}-", None]


def test_next_mirror_goes_on_where_the_first_broke_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 1)
    first = server.at("/a.zip", serves(cut=HALF))
    assert get(first, server.at("/b.zip", serves(etag='"theirs"'))).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={HALF}-"]


@contextmanager
def killed_at_the_end() -> Iterator[None]:
    """A complete part, but Ctrl-C before it gets its name."""
    with mock.patch("os.fsync", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        yield


def test_complete_part_needs_no_byte(server: Server) -> None:
    url = server.at("/a.zip", serves())
    with killed_at_the_end():
        get(url)
    assert get(url).read_bytes() == BODY
    assert len(server.log) == 1


def test_complete_part_of_unknown_size_is_told_by_416(server: Server) -> None:
    url = server.at("/a.zip", serves())
    with killed_at_the_end():
        get(url, size=None)
    assert get(url, size=None).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={len(BODY)}-"]


def test_server_that_hangs(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.1)
    over = threading.Event()
    url = server.at("/a.zip", lambda _: over.wait(2) and None, serves())
    assert get(url).read_bytes() == BODY
    over.set()
    assert "timed out; trying again" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "message"), [(HALF, "expected 10,000 bytes, got more"), (None, "expected sha256")])
def test_longer_than_expected(server: Server, size: int | None, message: str) -> None:
    url = server.at("/a.zip", serves(BODY + b"x", length=False, etag=None))
    with pytest.raises(InputError, match=message):
        get(url, size=size)
    assert cached_files() == []


# Answers that are not the file


@pytest.mark.parametrize("code", [500, 503, 429])
def test_error_that_passes(server: Server, code: int) -> None:
    url = server.at("/a.zip", status(code), serves())
    assert get(url).read_bytes() == BODY
    assert len(server.log) == 2


def test_retry_after_is_heeded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    get(server.at("/a.zip", status(429, Retry_After="7"), serves()))
    assert pauses == [7.0]


def test_retry_after_beyond_reason_fails_the_mirror(server: Server) -> None:
    url = server.at("/a.zip", status(429, Retry_After="3600"), serves())
    with pytest.raises(InputError, match=r"HTTP 429 .*asks to wait 3600 s"):
        get(url)


def test_404_fails_the_mirror_at_once(server: Server) -> None:
    with pytest.raises(InputError, match="HTTP 404 Not Found"):
        get(server.at("/a.zip", status(404, b"<html>no such page</html>"), serves()))
    assert len(server.log) == 1
    assert cached_files() == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [(BODY, "text/html; charset=utf-8"), (b"\n<!DOCTYPE html>", "application/zip"), (b"<HTML>", "")],
)
def test_web_page_in_place_of_the_file(server: Server, body: bytes, kind: str) -> None:
    with pytest.raises(InputError, match="got a web page instead of the file"):
        get(server.at("/a.zip", status(200, body, Content_Type=kind)), hash=None, size=None)
    assert cached_files() == []


def test_content_encoding(server: Server) -> None:
    encoded = status(200, BODY, Content_Encoding="gzip")
    assert get(server.at("/a.tar.gz", encoded)).read_bytes() == BODY  # its own compression, by another name
    with pytest.raises(InputError, match=r"compressed \(gzip\)"):
        get(server.at("/a.zip", encoded), hash=None)


def test_wrong_hash_is_deleted_and_the_next_mirror_is_used(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = server.at("/bad.zip", serves(OTHER)), server.at("/good.zip", serves())
    with pytest.raises(InputError, match=f"expected {SHA256.replace(':', ' ')}, got [0-9a-f]{{64}}; deleted"):
        get(bad)
    assert cached_files() == []
    path = get(bad, good)
    assert path.read_bytes() == BODY
    assert cached_files() == [path]
    assert f"imdb: {bad}: expected" in capsys.readouterr().err


def test_wrong_size_is_refused_before_the_body_comes(server: Server) -> None:
    with pytest.raises(InputError, match="expected 5 bytes, the server has 20,000"):
        get(server.at("/a.zip", serves()), size=5)
    assert cached_files() == []


def test_short_file_without_a_length_is_not_taken(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 2)
    with pytest.raises(InputError, match="broke off after 10,000 of 20,000 bytes"):
        get(server.at("/a.zip", serves(BODY[:HALF], length=False, etag=None)), hash=None)


def test_empty_file_is_not_taken(server: Server) -> None:
    with pytest.raises(InputError, match="the file is empty"):
        get(server.at("/a.zip", serves(b"")), hash=None, size=None)


# Redirects, proxies, certificates


def test_redirect_is_followed(server: Server) -> None:
    target = server.at("/files/7f3a", serves(cut=HALF), serves())
    path = get(server.at("/a.zip", status(302, Location=target)))
    assert path.read_bytes() == BODY
    assert path.name == "a.zip"
    assert server.ranges == [None, None, f"bytes={HALF}-", f"bytes={HALF}-"]


def test_redirect_loop(server: Server) -> None:
    with pytest.raises(InputError, match="Exceeded 30 redirects"):
        get(server.at("/a.zip", status(302, Location="/a.zip")))


def test_proxy_of_the_user_is_respected(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", server.at("", serves()))
    server.scripts["http://mirror.invalid/a.zip"] = [serves()]
    assert get("http://mirror.invalid/a.zip").read_bytes() == BODY


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def secure(server: Server, certificate: Path) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    return server


def test_untrusted_certificate_is_refused_at_once(secure: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="certificate verify failed"):
        get(secure.at("/a.zip", serves()))
    assert secure.log == []
    assert "trying again" not in capsys.readouterr().err


def test_redirect_from_https_to_http_is_refused(
    secure: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert get(secure.at("/a.zip", status(302, Location="/b.zip")), secure.at("/b.zip", serves()))
    (cached,) = cached_files()
    cached.unlink()
    with pytest.raises(InputError, match="redirects from https to http://127"):
        get(secure.at("/a.zip", status(302, Location="http://127.0.0.1:9/b.zip")))


def test_missing_certificate_bundle_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(InputError, match=r"https://127.0.0.1:9/a.zip: .*/nowhere/ca.pem"):
        get("https://127.0.0.1:9/a.zip")


# Mirrors and local paths


def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/aclImdb_v1.tar.gz"


def test_second_mirror_when_the_first_is_down(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    down = closed_port()
    assert get(down, server.at("/a.zip", serves())).read_bytes() == BODY
    assert f"imdb: {down}: Connection refused" in capsys.readouterr().err


def test_all_mirrors_fail(server: Server, tmp_path: Path) -> None:
    down, missing, gone = closed_port(), tmp_path / "no.zip", server.at("/a.zip", status(410))
    with pytest.raises(InputError) as caught:
        get(down, missing, gone, "ftp://127.0.0.1/a.zip")
    assert str(caught.value).splitlines() == [
        "imdb: could not get aclImdb_v1.tar.gz",
        f"  {down}: Connection refused (tried 5 times)",
        f"  {missing}: no such file",
        f"  {gone}: HTTP 410 Gone",
        "  ftp://127.0.0.1/a.zip: must be an http or https URL, or the path of a file",
        HINT,
    ]


@pytest.mark.parametrize("form", ["absolute", "relative", "home"])
def test_local_file_is_used_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.zip").write_bytes(BODY)
    path = get({"absolute": tmp_path / "a.zip", "relative": "a.zip", "home": "~/a.zip"}[form])
    assert path.samefile(tmp_path / "a.zip")
    assert not cache_folder().exists()


def test_local_file_comes_before_a_cached_one_that_stands_behind_it(server: Server, tmp_path: Path) -> None:
    url = server.at("/a.zip", serves())
    get(url, hash=None)
    local = tmp_path / "a.zip"
    local.write_bytes(OTHER)
    assert get(local, url, hash=None) == local


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file"),
        (OTHER, "expected sha256 .*, got "),
        (b"short", "expected 20,000 bytes, got 5"),
    ],
)
def test_wrong_local_file_fails_its_mirror_and_stays(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, why: str
) -> None:
    local = tmp_path / "a.zip"
    if content:
        local.write_bytes(content)
    path = get(local, server.at("/a.zip", serves()))
    assert path.read_bytes() == BODY
    assert re.search(f"imdb: {local}: {why}", capsys.readouterr().err)
    assert not content or local.read_bytes() == content


def test_hash_in_no_known_form() -> None:
    with pytest.raises(InputError, match="hash 'md5:123', must be sha256"):
        Mirror("a.zip", "md5:123", None)


@pytest.mark.parametrize(
    ("status", "headers", "have", "step"),
    [
        (200, {}, 5, Step.OVERWRITE),
        (206, {"Content-Range": "bytes 5-9/10"}, 5, Step.APPEND),
        (206, {"Content-Range": "bytes 5-9/*"}, 5, Step.APPEND),
        (206, {"Content-Range": "bytes 5-10/11"}, 5, Step.RESTART),
        (206, {"Content-Range": "bytes 4-9/10"}, 5, Step.RESTART),
        (206, {"Content-Range": "bytes 5-9/10", "ETag": '"two"'}, 5, Step.RESTART),
        (206, {}, 5, Step.RESTART),
        (206, {}, 0, Step.REFUSE),
        (416, {}, 10, Step.COMPLETE),
        (416, {}, 11, Step.RESTART),
        (416, {}, 0, Step.REFUSE),
        (429, {}, 0, Step.RETRY),
        (502, {}, 5, Step.RETRY),
        (403, {}, 5, Step.REFUSE),
        (304, {}, 5, Step.REFUSE),
    ],
)
def test_decide(status: int, headers: dict[str, str], have: int, step: Step) -> None:
    assert decide(status, headers, have, 10, '"one"') is step


# The progress bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "DELAY", 1e-9)
    monkeypatch.setattr(progress_module, "LOG_INTERVAL", 0.0)


@pytest.mark.usefixtures("_at_once")
def test_log_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    with progress(total=2000, desc="imdb", unit="B", unit_scale=True, initial=1000) as bar:
        for _ in range(1000):
            bar.update(1)
    lines = log.getvalue().splitlines(keepends=True)
    assert 5 <= len(lines) <= progress_module.LOG_STEPS
    assert all(re.match(r"imdb: +\d+%.*B/s\]\n$", line) and "\r" not in line for line in lines)
    assert "100%" in lines[-1]


@pytest.mark.usefixtures("_at_once")
def test_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    assert list(progress(range(3), total=3, desc="reviews")) == [0, 1, 2]
    assert screen.getvalue().startswith("\rreviews: ")
    assert screen.getvalue().count("\n") == 1


def test_quick_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(3), total=3, desc="reviews")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
