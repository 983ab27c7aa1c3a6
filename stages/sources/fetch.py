"""Bring a source file into the download cache: resumed, retried, verified, one download at a time."""

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
TRIES = 5  # in a row without a new byte, then the mirror has failed
FIRST_PAUSE = 1.0  # seconds; doubles with each such try, less up to half by chance
LONGEST_PAUSE = 60.0  # seconds; a server whose Retry-After asks for more has failed
CHUNK = 1 << 16  # bytes; what a reset connection can lose

PAGE = "a web page came in place of the file"
HASH = re.compile(r"sha256:[0-9a-f]{64}|sha1:[0-9a-f]{40}", re.IGNORECASE)


@dataclass(frozen=True)
class Mirror:
    """One place that has the file. Raises InputError for a hash that is not in one of the two forms."""

    url: str  # http(s) URL, file path or ~path
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
        """The last part of the URL's path, safe as a file name."""
        last = unquote(urlsplit(self.url).path if self.is_remote else self.url).rstrip("/").rpartition("/")[2]
        return re.sub(r"[^\w.+-]", "_", last, flags=re.ASCII).lstrip(".")[-100:] or "download"


class RefusedError(Exception):
    """This mirror cannot give the file; the message says why."""


class BrokenError(Exception):
    """This try failed, another may not; `pause` is the server's own wish in seconds."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Slot:
    """Where one file lives in the cache: the part and what is known of it, then `<key>/<file name>`."""

    def __init__(self, mirror: Mirror) -> None:
        url_key = "url-" + hashlib.sha256(mirror.url.encode()).hexdigest()
        key = mirror.hash.lower().replace(":", "-") if mirror.hash else url_key
        downloads = cache_folder() / "downloads"
        self.folder = downloads / key
        self.part = downloads / f"{key}.part"
        self.origin = downloads / f"{key}.origin.json"  # the part's URL and validator
        self.record = downloads / f"{key}.verified.json"  # the file as it was when last verified
        self.lock = downloads / f"{key}.lock"

    @property
    def file(self) -> Path | None:
        """The finished file; under another name than this mirror's if another one gave it."""
        return next((path for path in sorted(self.folder.glob("[!.]*")) if path.is_file()), None)

    @property
    def part_size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def drop_part(self) -> None:
        self.part.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)


def fetch(name: str, mirrors: Sequence[Mirror], hint: str) -> Path:
    """Return the path of a verified file from the first of `mirrors` that has it.

    A local path is used in place; what is in the cache already is used without a request.
    Raises InputError, which ends with `hint`, if all of them fail, and if the cache cannot be written.
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
    """The cached file of the first mirror that has one, so that no earlier URL costs a request."""
    for mirror in mirrors:
        if not mirror.is_remote and Path(mirror.url).expanduser().exists():
            return None  # a path costs none, and stands before what follows
        if mirror.is_remote and (slot := Slot(mirror)).file:
            with locked(slot.lock, f"{name}: waiting for another download of the same file"):
                if cached := _cached(name, mirror, slot):
                    return cached
    return None


def _local(mirror: Mirror) -> Path:
    """Raises RefusedError if there is no such file or it is another one."""
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
    """Raises RefusedError if this mirror cannot give the file."""
    slot = Slot(mirror)
    slot.folder.mkdir(parents=True, exist_ok=True)
    with locked(slot.lock, f"{name}: waiting for another download of the same file"):
        return _cached(name, mirror, slot) or _download(name, mirror, slot)


def _cached(name: str, mirror: Mirror, slot: Slot) -> Path | None:
    """The file if it is in the cache and whole; a damaged one is deleted. Hashed only if touched since."""
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
    """Raises RefusedError if this mirror cannot give the file; a wrong one is deleted."""
    with requests.Session() as session:
        # identity: a Range counts the bytes of the file, not those of a compressed body
        session.headers.update({"User-Agent": "sentidog", "Accept-Encoding": "identity"})
        session.hooks["response"].append(_refuse_downgrade)
        resumed = _fill(name, session, mirror, slot)
        wrong = _wrong(slot.part, mirror)
        if wrong and resumed:  # the two halves may come from different files: a fresh one deserves its chance
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
    """Bring the whole file into the part, in as many tries as it takes; True if any of them resumed.

    Raises RefusedError if the mirror says no, or if TRIES tries in a row bring nothing new.
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
            # measured against the best: a server that breaks off at the same byte makes no progress
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
    """How many bytes of the part can be kept: none if nothing could tell that the file has changed since."""
    complete = mirror.size is not None and slot.part_size == mirror.size
    return slot.part_size if mirror.hash or complete or _validator(mirror, slot) else 0


def _validator(mirror: Mirror, slot: Slot) -> str | None:
    """The ETag or date of the part's first answer, if this mirror gave it."""
    origin = _known(slot.origin) or {}
    return origin.get("validator") if origin.get("url") == mirror.url else None


def _try(name: str, session: requests.Session, mirror: Mirror, slot: Slot, have: int) -> None:
    """One request for what is missing. Raises RefusedError or BrokenError; what came stays in the part."""
    if have and have == mirror.size:
        return
    validator = _validator(mirror, slot)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and validator:
        headers["If-Range"] = validator  # else the server would glue a changed file to the old half
    timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
    with session.get(mirror.url, headers=headers, stream=True, timeout=timeout) as answer:
        status = f"HTTP {answer.status_code} {answer.reason or ''}".strip()
        match decide(answer.status_code, answer.headers, have, mirror.size, validator):
            case Step.REFUSE:
                raise RefusedError(status)
            case Step.RETRY:
                wish = answer.headers.get("Retry-After", "")  # a date is not heeded: few servers send one
                raise BrokenError(status, pause=float(wish) if wish.isdecimal() else None)
            case Step.RESTART:
                slot.drop_part()
                raise BrokenError(f"{status} does not fit the half that is here, starting over", pause=0)
            case Step.OVERWRITE | Step.APPEND as step:
                _save(name, answer, mirror, slot, have if step is Step.APPEND else 0)


class Step(Enum):
    OVERWRITE = auto()  # the body is the whole file
    APPEND = auto()  # the body is the rest of the file
    COMPLETE = auto()  # nothing is missing
    RESTART = auto()  # the part is of no use: delete it and ask for all
    RETRY = auto()  # the same request may succeed later
    REFUSE = auto()  # it will not


def decide(status: int, headers: Mapping[str, str], have: int, size: int | None, validator: str | None) -> Step:
    """What to do with an answer, given the `have` bytes that are here and what is known of the file."""
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


def _save(name: str, answer: requests.Response, mirror: Mirror, slot: Slot, have: int) -> None:
    """Write the body behind the first `have` bytes of the part.

    Raises BrokenError if it ends early, RefusedError if it is not the file.
    """
    length = answer.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else mirror.size
    _refuse_other(answer, mirror, total)
    if not have:
        slot.drop_part()
        write_json(slot.origin, {"url": mirror.url, "validator": _validator_of(answer.headers)})
    answer.raw.enforce_content_length = False  # the check below says it in plain words
    bar = progress(total=total, desc=name, unit="B", unit_scale=True, initial=have)
    with slot.part.open("ab") as part, bar:
        # raw: the bytes as they came, never unpacked
        for chunk in answer.raw.stream(CHUNK, decode_content=False):
            part.write(chunk)
            bar.update(len(chunk))
            have += len(chunk)
            if total is not None and have > total:
                break
    if total is not None and have > total:
        slot.drop_part()
        raise RefusedError(f"expected {total:,} bytes, came more; deleted")
    if total is not None and have < total:
        raise BrokenError(f"broke off after {have:,} of {total:,} bytes")


def _refuse_other(answer: requests.Response, mirror: Mirror, total: int | None) -> None:
    """Raises RefusedError if the headers tell that the body is not the file."""
    kind = answer.headers.get("Content-Type", "").lower()
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if mirror.hash is None and kind.startswith("text/html"):
        raise RefusedError(PAGE)
    # some servers call a .gz file an encoding of what is in it: then the raw body is the file
    named_gzip = encoding in ("gzip", "x-gzip") and mirror.file_name.endswith(("gz", ".taz"))
    if encoding != "identity" and not named_gzip:
        raise RefusedError(f"the body came compressed ({encoding}), though asked for as it is")
    if mirror.size is not None and total != mirror.size:
        raise RefusedError(f"expected {mirror.size:,} bytes, the server has {total:,}")


def _wrong(path: Path, mirror: Mirror) -> str | None:
    """What was expected and what came, if the file is not the one that the mirror names."""
    size = path.stat().st_size
    if mirror.size is not None and size != mirror.size:
        return f"expected {mirror.size:,} bytes, came {size:,}"
    if not size:
        return "the file is empty"
    with path.open("rb") as file:
        if mirror.hash is None:  # what a login page with status 200 would leave
            return PAGE if file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html")) else None
        algorithm, _, expected = mirror.hash.lower().partition(":")
        came = hashlib.file_digest(file, algorithm).hexdigest()
    return None if came == expected else f"expected {algorithm} {expected}, came {came}"


def _state(path: Path, mirror: Mirror) -> dict[str, Any]:
    stat = path.stat()
    verified = [mirror.hash, mirror.size]
    return {"name": path.name, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "verified": verified}


def _known(path: Path) -> Any:
    """A sidecar's content; None if it is missing or damaged, then nothing is known."""
    try:
        return read_json(path)
    except InputError:
        return None


def _content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """First byte and total of "bytes 5-9/10", "bytes 5-9/*" or "bytes */10"."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", headers.get("Content-Range", "").strip())
    start, total = found.groups() if found else (None, None)
    return (int(start) if start else None, int(total) if total else None)


def _validator_of(headers: Mapping[str, str]) -> str | None:
    """What If-Range takes: a strong ETag, else the date. A weak one does not promise the same bytes."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _pause(failures: int) -> float:
    """Seconds before the next try: doubling, and scattered so that many clients do not come back at once."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)) * random.uniform(0.5, 1)


def _refuse_downgrade(answer: requests.Response, *args: Any, **kwargs: Any) -> None:
    """Raises RefusedError on a redirect that leaves https."""
    target = urljoin(answer.url, answer.headers.get("Location", ""))
    if answer.is_redirect and answer.url.startswith("https:") and not target.startswith("https:"):
        raise RefusedError(f"redirects from https to {target}, which is not safe")


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turn an error of the network into BrokenError if another try may help, else into RefusedError."""
    again = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    try:
        yield
    except (*again, urllib3.exceptions.HTTPError) as problem:
        reason = _root(problem)
        raise (RefusedError if "CERTIFICATE_VERIFY_FAILED" in reason else BrokenError)(reason) from problem
    except OSError as problem:
        if problem.errno is not None:  # the disk's; those of requests are OSErrors without a number
            raise
        raise RefusedError(str(problem)) from problem


def _root(problem: BaseException) -> str:
    """What happened at the bottom; the layers above only repeat it."""
    while deeper := problem.__cause__ or problem.__context__:
        problem = deeper
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
