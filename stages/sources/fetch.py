"""Download a source file into the cache. Downloads are resumed, retried, verified and locked."""

import hashlib
import os
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3

from stages.core.cache import cache_errors, cache_folder, locked, log
from stages.core.files import InputError, read_json, write_json
from stages.core.progress import progress

CONNECT_TIMEOUT = 15.0  # seconds
READ_TIMEOUT = 60.0  # seconds without a byte
TRIES = 5  # a mirror has failed after so many tries in a row without a new byte
FIRST_PAUSE = 1.0  # seconds before the second of them; then it doubles, with random jitter
LONGEST_PAUSE = 60.0  # seconds; a mirror has failed if its Retry-After is longer
CHUNK = 1 << 16  # bytes; at most so many are lost when a connection is reset

PAGE = "got a web page instead of the file"
HASH = re.compile(r"sha256:[0-9a-f]{64}|sha1:[0-9a-f]{40}", re.IGNORECASE)


@dataclass(frozen=True)
class Mirror:
    """A place to get the file from. Raises InputError for a hash in neither of the two forms."""

    url: str  # http(s) URL, or the path of a file; ~ is expanded
    hash: str | None  # "sha256:<hex>" | "sha1:<hex>" | None
    size: int | None  # bytes

    def __post_init__(self) -> None:
        if self.hash is not None and not HASH.fullmatch(self.hash):
            raise InputError(f"{self.url}: hash {self.hash!r}, must be sha256:<64 hex> or sha1:<40 hex>")

    @property
    def is_remote(self) -> bool:
        return self.url.lower().startswith(("http://", "https://"))

    @property
    def file_name(self) -> str:
        """The last component of the URL's path, made safe as a file name."""
        last = unquote(urlsplit(self.url).path if self.is_remote else self.url).rstrip("/").rpartition("/")[2]
        return re.sub(r"[^\w.+-]", "_", last, flags=re.ASCII).lstrip(".")[-100:] or "download"


class RefusedError(Exception):
    """This mirror cannot provide the file. The message says why."""


class BrokenError(Exception):
    """This try failed, but the next one may succeed. `pause`: seconds of the server's Retry-After, if it sent one."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Slot:
    """The paths of one file in the download cache: the partial download and its records, and `<key>/<file name>`."""

    def __init__(self, mirror: Mirror) -> None:
        url_key = "url-" + hashlib.sha256(mirror.url.encode()).hexdigest()
        key = mirror.hash.lower().replace(":", "-") if mirror.hash else url_key
        downloads = cache_folder() / "downloads"
        self.folder = downloads / key
        self.part = downloads / f"{key}.part"
        self.origin = downloads / f"{key}.origin.json"  # URL and validator of the partial download
        self.record = downloads / f"{key}.verified.json"  # name, size and mtime of the file when it was last verified
        self.lock = downloads / f"{key}.lock"

    @property
    def file(self) -> Path | None:
        """The finished file. Its name is that of the mirror that it came from, which may be another one."""
        return next((path for path in sorted(self.folder.glob("[!.]*")) if path.is_file()), None)

    @property
    def part_size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def drop_part(self) -> None:
        self.part.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)


def fetch(name: str, mirrors: Sequence[Mirror], hint: str) -> Path:
    """Return the path of a verified file from the first of `mirrors` that has it.

    A local file is used in place. A file that is in the cache already is used without a request. `name` is for
    messages.

    Raises InputError, which ends with `hint`, if all mirrors fail, or if the cache cannot be written.
    """
    failures = []
    with cache_errors():
        if ready := _ready(name, mirrors):
            return ready
        for mirror in mirrors:
            try:
                return _remote(name, mirror) if mirror.is_remote else _local(mirror)
            except RefusedError as problem:
                log(f"{name}: {mirror.url}: {problem}")
                failures.append(f"  {mirror.url}: {problem}")
    wanted = mirrors[0].file_name if mirrors else "a file: no url is given"
    raise InputError("\n".join([f"{name}: could not get {wanted}", *failures, hint]))


def _ready(name: str, mirrors: Sequence[Mirror]) -> Path | None:
    """Return the cached file of the first mirror that has one. The mirrors before it get no request."""
    for mirror in mirrors:
        if not mirror.is_remote and Path(mirror.url).expanduser().exists():
            return None  # a local file comes before the mirrors after it, and needs no request
        if mirror.is_remote and (slot := Slot(mirror)).file:
            with locked(slot.lock, f"{name}: waiting for another download of the same file"):
                if cached := _cached(name, mirror, slot):
                    return cached
    return None


def _local(mirror: Mirror) -> Path:
    """Return the path of a local file. Raises RefusedError if it does not exist, or is not the expected file."""
    if "://" in mirror.url:
        raise RefusedError("must be an http or https URL, or the path of a file")
    path = Path(mirror.url).expanduser()
    if not path.is_file():
        raise RefusedError("no such file")
    try:
        wrong = _wrong(path, mirror)
    except OSError as problem:
        raise RefusedError(f"cannot be read: {problem.strerror}") from problem
    if wrong:
        raise RefusedError(wrong)
    return path


def _remote(name: str, mirror: Mirror) -> Path:
    """Return the path of a remote file in the cache. Raises RefusedError if this mirror cannot provide it."""
    slot = Slot(mirror)
    slot.folder.mkdir(parents=True, exist_ok=True)
    with locked(slot.lock, f"{name}: waiting for another download of the same file"):
        return _cached(name, mirror, slot) or _download(name, mirror, slot)


def _cached(name: str, mirror: Mirror, slot: Slot) -> Path | None:
    """Return the cached file if it is intact; delete it if it is damaged.

    It is hashed only if it has changed since it was last verified.
    """
    path = slot.file
    if path is None:
        return None
    if _known(slot.record) != _state(path, mirror):
        if wrong := _wrong(path, mirror):
            path.unlink()
            log(f"{name}: {path} in the cache is not what it should be: {wrong}; deleted")
            return None
        write_json(slot.record, _state(path, mirror))
    return path


def _download(name: str, mirror: Mirror, slot: Slot) -> Path:
    """Download and verify the file. Raises RefusedError if this mirror cannot provide it; a wrong file is deleted."""
    with requests.Session() as session:
        # identity: Range counts the bytes of the file, not those of a compressed body
        session.headers.update({"User-Agent": "sentidog", "Accept-Encoding": "identity"})
        session.hooks["response"].append(_refuse_downgrade)
        resumed = _fill(name, session, mirror, slot)
        wrong = _wrong(slot.part, mirror)
        if wrong and resumed:  # the file may have changed between the tries: download it once from the start
            slot.drop_part()
            log(f"{name}: {mirror.url}: {wrong}; deleted, starting over")
            _fill(name, session, mirror, slot)
            wrong = _wrong(slot.part, mirror)
    if wrong:
        slot.drop_part()
        raise RefusedError(f"{wrong}; deleted")
    with slot.part.open("rb+") as part:
        os.fsync(part.fileno())
    final = slot.part.replace(slot.folder / mirror.file_name)
    write_json(slot.record, _state(final, mirror))
    slot.origin.unlink(missing_ok=True)
    return final


def _fill(name: str, session: requests.Session, mirror: Mirror, slot: Slot) -> bool:
    """Download the whole file to `slot.part`, in as many tries as it takes; return whether any of them resumed.

    Raises RefusedError if the mirror refuses, or after TRIES tries in a row without a new byte.
    """
    resumed, best, failures = False, slot.part_size, 0
    while True:
        try:
            with _network_errors():
                have = _resumable(mirror, slot)
                resumed = resumed or have > 0
                _try(name, session, mirror, slot, have)
                return resumed
        except BrokenError as problem:
            # Progress means more bytes than ever before: a server may break off at the same byte each time
            failures = 1 if slot.part_size > best else failures + 1
            best = max(best, slot.part_size)
            pause = _pause(failures) if problem.pause is None else problem.pause
            if failures >= TRIES:
                raise RefusedError(f"{problem} (tried {failures} times)") from problem
            if pause > LONGEST_PAUSE:
                raise RefusedError(f"{problem}, and asks to wait {pause:.0f} s") from problem
            log(f"{name}: {mirror.url}: {problem}; trying again in {pause:.0f} s")
            time.sleep(pause)


def _resumable(mirror: Mirror, slot: Slot) -> int:
    """Return how many bytes of the partial download can be kept: 0 if a change of the file would go unnoticed."""
    complete = mirror.size is not None and slot.part_size == mirror.size
    return slot.part_size if mirror.hash or complete or _validator(mirror, slot) else 0


def _validator(mirror: Mirror, slot: Slot) -> str | None:
    """Return the ETag or date that came with the partial download, if it is this mirror's."""
    origin = _known(slot.origin) or {}
    return origin.get("validator") if origin.get("url") == mirror.url else None


def _try(name: str, session: requests.Session, mirror: Mirror, slot: Slot, have: int) -> None:
    """Request the missing bytes once. Raises RefusedError or BrokenError; the bytes that arrived are kept."""
    if have and have == mirror.size:
        return
    validator = _validator(mirror, slot)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and validator:
        headers["If-Range"] = validator  # a changed file is then sent from its start, not appended to the old part
    timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
    with session.get(mirror.url, headers=headers, stream=True, timeout=timeout) as response:
        status = f"HTTP {response.status_code} {response.reason or ''}".strip()
        match decide(response.status_code, response.headers, have, mirror.size, validator):
            case Step.REFUSE:
                raise RefusedError(status)
            case Step.RETRY:
                seconds = response.headers.get("Retry-After", "")  # a date is ignored: few servers send one
                raise BrokenError(status, pause=float(seconds) if seconds.isdecimal() else None)
            case Step.RESTART:
                slot.drop_part()
                raise BrokenError(f"{status} does not fit the part that is here, starting over", pause=0)
            case Step.OVERWRITE | Step.APPEND as step:
                _save(name, response, mirror, slot, have if step is Step.APPEND else 0)


class Step(Enum):
    OVERWRITE = auto()  # the body is the whole file
    APPEND = auto()  # the body is the rest of the file
    COMPLETE = auto()  # nothing is missing
    RESTART = auto()  # the partial download is useless: delete it and request the whole file
    RETRY = auto()  # the same request may succeed later
    REFUSE = auto()  # it will never succeed


def decide(status: int, headers: Mapping[str, str], have: int, size: int | None, validator: str | None) -> Step:
    """Return what to do with a response.

    `have` is the size of the partial download in bytes, `size` and `validator` are those of the file, if known.
    """
    if status == 200:  # also from a server that ignores Range, or whose file has changed
        return Step.OVERWRITE
    if status == 429 or status >= 500:
        return Step.RETRY
    if not have or status not in (206, 416):
        return Step.REFUSE
    start, total = _content_range(headers)
    if status == 416:
        return Step.COMPLETE if have == (size or total) else Step.RESTART
    same_size = size is None or total is None or total == size
    same_file = validator is None or _validator_of(headers) in (validator, None)
    return Step.APPEND if start == have and same_size and same_file else Step.RESTART


def _save(name: str, response: requests.Response, mirror: Mirror, slot: Slot, have: int) -> None:
    """Append the body to the partial download of `have` bytes.

    Raises BrokenError if it ends early, RefusedError if it is not the expected file.
    """
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else mirror.size
    _refuse_other(response, mirror, total)
    if not have:
        slot.drop_part()
        write_json(slot.origin, {"url": mirror.url, "validator": _validator_of(response.headers)})
    response.raw.enforce_content_length = False  # the check below has a clearer message
    bar = progress(total=total, desc=name, unit="B", unit_scale=True, initial=have)
    with slot.part.open("ab") as part, bar:
        # raw: the bytes as they were sent, not decompressed
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            part.write(chunk)
            bar.update(len(chunk))
            have += len(chunk)
            if total is not None and have > total:
                break
    if total is not None and have > total:
        slot.drop_part()
        raise RefusedError(f"expected {total:,} bytes, got more; deleted")
    if total is not None and have < total:
        raise BrokenError(f"broke off after {have:,} of {total:,} bytes")


def _refuse_other(response: requests.Response, mirror: Mirror, total: int | None) -> None:
    """Raise RefusedError if the headers show that the body is not the expected file."""
    kind = response.headers.get("Content-Type", "").lower()
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if mirror.hash is None and kind.startswith("text/html"):
        raise RefusedError(PAGE)
    # Some servers declare a .gz file as gzip-encoded content: the raw body is then the file
    named_gzip = encoding in ("gzip", "x-gzip") and mirror.file_name.endswith(("gz", ".taz"))
    if encoding != "identity" and not named_gzip:
        raise RefusedError(f"the body is compressed ({encoding}), which was not requested")
    if mirror.size is not None and total != mirror.size:
        raise RefusedError(f"expected {mirror.size:,} bytes, the server has {total:,}")


def _wrong(path: Path, mirror: Mirror) -> str | None:
    """Return what was expected and what is there if the file does not have the mirror's size and hash, else None."""
    size = path.stat().st_size
    if mirror.size is not None and size != mirror.size:
        return f"expected {mirror.size:,} bytes, got {size:,}"
    if not size:
        return "the file is empty"
    with path.open("rb") as file:
        if mirror.hash is None:  # it may be a login page that was sent with status 200
            return PAGE if file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html")) else None
        algorithm, _, expected = mirror.hash.lower().partition(":")
        found = hashlib.file_digest(file, algorithm).hexdigest()
    return None if found == expected else f"expected {algorithm} {expected}, got {found}"


def _state(path: Path, mirror: Mirror) -> dict[str, Any]:
    stat = path.stat()
    verified = [mirror.hash, mirror.size]
    return {"name": path.name, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "verified": verified}


def _known(path: Path) -> Any:
    """Return the content of a record; None if it is missing or damaged."""
    try:
        return read_json(path)
    except InputError:
        return None


def _content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return the first byte and the total of "bytes 5-9/10", "bytes 5-9/*" or "bytes */10"."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", headers.get("Content-Range", "").strip())
    start, total = found.groups() if found else (None, None)
    return (int(start) if start else None, int(total) if total else None)


def _validator_of(headers: Mapping[str, str]) -> str | None:
    """Return a value for If-Range: a strong ETag, or else the date. A weak ETag does not promise the same bytes."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _pause(failures: int) -> float:
    """Return the seconds before the next try: exponential backoff with jitter, so that clients do not retry at once."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)) * random.uniform(0.5, 1)


def _refuse_downgrade(response: requests.Response, *args: Any, **kwargs: Any) -> None:
    """Raise RefusedError on a redirect from https to anything else."""
    target = urljoin(response.url, response.headers.get("Location", ""))
    if response.is_redirect and response.url.startswith("https:") and not target.startswith("https:"):
        raise RefusedError(f"redirects from https to {target}, which is not safe")


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turn a network error into BrokenError if another try may help, else into RefusedError."""
    again = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    try:
        yield
    except (*again, urllib3.exceptions.HTTPError) as problem:
        reason = _root(problem)
        raise (RefusedError if "CERTIFICATE_VERIFY_FAILED" in reason else BrokenError)(reason) from problem
    except OSError as problem:
        if problem.errno is not None:  # an error of the disk; the OSErrors of requests have no number
            raise
        raise RefusedError(str(problem)) from problem


def _root(problem: BaseException) -> str:
    """Return the message of the innermost exception; the outer ones only repeat it."""
    while deeper := problem.__cause__ or problem.__context__:
        problem = deeper
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
