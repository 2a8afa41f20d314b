"""Other parsers' own vectors, put to rgate: to the core's readers, and to both engines on 127.0.0.1.

    python scripts/vectors.py           # prints the tables of docs/reliability.md
    python scripts/vectors.py --list    # each difference

They come from source packages of PyPI, which are downloaded to a temporary directory: gunicorn's
`tests/requests`, and llhttp's `test/*.md` in that of aiohttp. A request of HTTP/1.1 without Host, of which
most of llhttp's are, gets one, as all else would be hidden behind that. Vectors of options that are off by
default are left out.
"""

import argparse
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from rgate.core.content import content_of  # noqa: E402 - found beside this script, not installed
from rgate.core.message import UNTIL_CLOSE, BadResponse, Refused  # noqa: E402
from rgate.core.onward import Interim  # noqa: E402
from rgate.core.reading import RequestReader, ResponseReader  # noqa: E402
from rgate.engines import ENGINES  # noqa: E402
from tests.contract.http.test_mutated_messages import Recorder, judged  # noqa: E402
from tests.integration import gateway as gateway_process  # noqa: E402
from tests.integration.gateway import running  # noqa: E402
from tests.unit.both_ways import Pieces, made_id  # noqa: E402
from tests.unit.messages import READING, STRANGER, request  # noqa: E402

PACKAGES = ("gunicorn", "aiohttp")
LATER = re.compile(rb"lenient|pause|proxy_protocol|permit_|header_map|casefold|limit_request")
"""Options of theirs, in what describes a vector."""

Message = tuple[bytes, bytes, bytes]  # method, path with query, content


@dataclass(frozen=True)
class Vector:
    """Bytes, and whether those whose vector it is take all of them."""

    name: str
    raw: bytes
    taken: bool
    is_response: bool = False


TAKEN, REFUSED, WAITS = "taken", "refused", "waits for more"

# Where rgate differs, and why, each looked at by RFC 9112 (or 9110, where it says so).
JUDGED: dict[str, tuple[str, ...]] = {
    "refused; the target has a fragment, which 3.2 has not": (
        "valid/005.http", "request/uri.md 8",
    ),
    "refused; codings other than `chunked` alone are not decoded here (6.1: 501 or 400)": (
        "valid/025.http", "valid/025_line.http", "valid/029.http", "valid/030.http",
        "valid/rfc9112_smuggle_gzip_chunked_01.http", "valid/rfc9112_smuggle_te_identity_chunked_01.http",
        "request/transfer-encoding.md 20", "request/transfer-encoding.md 21",
        "response/transfer-encoding.md 2", "response/transfer-encoding.md 3",
        "response/transfer-encoding.md 4",
    ),
    "refused; white space between a name and its colon (5.1: MUST)": ("valid/028.http",),
    "refused; a user in the target (9110 4.2.4: treat as an error)": (
        "valid/rfc9112_target_absolute_userinfo_01.http", "request/uri.md 10",
    ),
    "refused; `*` is for OPTIONS alone (3.2.4)": ("request/method.md 5",),
    "refused; another protocol, or a version that is not 1 (2.3)": (
        "request/method.md 12", "request/method.md 13", "request/method.md 14", "request/sample.md 10",
        "response/sample.md 2", "response/sample.md 3", "response/sample.md 17",
    ),
    "refused; an empty line before a response, forgiven before requests only (2.2)": (
        "response/connection.md 17", "response/sample.md 19",
    ),
    "taken; any token is a method (9110 9.1), and an unknown one is not tried again": (
        "invalid/003c.http", "request/invalid.md 4", "request/invalid.md 14",
    ),
    "taken; within the limits that are set here": (
        "invalid/006.http", "invalid/007.http", "invalid/008.http", "invalid/017.http",
    ),
    "taken; a stranger's X-Forwarded-* do not go on, so that they cannot contradict": ("invalid/019.http",),
    "taken; two Content-Type fields frame nothing, and go on as they came": ("invalid/041.http",),
    "taken; a trailer that frames or routes is left out of what goes on (9110 6.5.1)": (
        "invalid/rfc9110_trailer_forbidden_cl_01.http", "invalid/rfc9110_trailer_forbidden_host_01.http",
        "invalid/rfc9110_trailer_forbidden_te_01.http",
    ),
    "taken; empty lines before a request (2.2: SHOULD ignore at least one)": (
        "invalid/rfc9112_leading_crlf_02.http",
    ),
    "taken; bytes over 0x7f in a target, as curl and scripts send them and all peers pass them on": (
        "invalid/rfc9112_target_non_ascii_01.http", "invalid/rfc9112_target_non_ascii_02.http",
    ),
    "taken; behind a message that closes nothing is looked at (9.6)": (
        "request/connection.md 3", "response/connection.md 6", "response/connection.md 8",
    ),
    "taken; an offer to switch is an ordinary request until it is accepted (9110 7.8)": (
        "request/connection.md 10", "request/connection.md 14", "request/connection.md 15",
        "request/connection.md 16", "request/connection.md 17",
    ),
    "answered 405; CONNECT is not for a gateway (9110 9.3.6), and nothing behind it is looked at": (
        "request/method.md 2", "request/method.md 3", "request/method.md 4", "request/uri.md 9",
    ),
    "taken; lines of responses may end with a bare LF (2.2: a recipient MAY)": (
        "response/invalid.md 16", "response/invalid.md 18", "response/sample.md 10",
    ),
    "taken; small servers pad the size of a chunk with blanks, and no recipient reads it otherwise": (
        "response/transfer-encoding.md 1",
    ),
}  # fmt: skip
ON_THE_WIRE = {
    **dict.fromkeys(
        ("invalid/rfc9112_target_non_ascii_01.http", "invalid/rfc9112_target_non_ascii_02.http"),
        "h11, by which the backend here reads, refuses bytes over 0x7f in a target",
    ),
    "valid/rfc9112_target_asterisk_options_01.http": "`*` belongs to no route: the default response",
    **dict.fromkeys(
        ("request/connection.md 10", "request/connection.md 16"),
        "the flask engine cannot tunnel WebSocket, and answers 501",
    ),
}
"""Where a message of the core's reaches no backend, and why."""
WHY = {name: why for why, names in JUDGED.items() for name in names}


def main() -> int:
    """Print the tables; exit status 1 where a difference is not judged, or an engine differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="tell each difference")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rgate-vectors-") as name:
        place = Path(name)
        vectors = {source: [*found] for source, found in downloaded(place).items()}
        engines = {engine: dict(carried(engine, vectors, place)) for engine in ENGINES}
    wrong: list[str] = []
    whys: Counter[str] = Counter()
    print("| vectors | all | as theirs | refused here alone | taken here alone | an engine differs |")
    print("|---|---|---|---|---|---|")
    for source, found in vectors.items():
        counts: Counter[str] = Counter()
        for vector in found:
            ours, messages = read(vector)
            # What is not whole is an error for some of theirs, who are told that it ends.
            as_theirs = ours in (TAKEN if vector.taken else REFUSED, WAITS)
            counts["as theirs" if as_theirs else ours] += 1
            if not as_theirs:
                whys[WHY.get(vector.name, "not judged")] += 1
                text = f"{vector.name}: {ours}: {vector.raw[:300]!r}"
                if options.list:
                    print(" ", text)
                wrong += [text] * (vector.name not in WHY)
            for engine, seen in engines.items():
                if vector.is_response or seen[vector.name] == messages:
                    continue
                if seen[vector.name] or vector.name not in ON_THE_WIRE:
                    counts["engine"] += 1
                    wrong.append(f"{vector.name}, {engine}: {seen[vector.name]}, and not {messages}")
        row = (source, len(found), *(counts[one] for one in ("as theirs", REFUSED, TAKEN, "engine")))
        print("|", " | ".join(map(str, row)), "|")
    print("\n| vectors | what rgate does, and why |\n|---|---|")
    for why, count in whys.most_common():
        print(f"| {count} | {why} |")
    print(*wrong, sep="\n")
    return int(bool(wrong))


def downloaded(place: Path) -> dict[str, Iterator[Vector]]:
    """Return the vectors by where they are from."""
    for package in PACKAGES:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package]
        subprocess.run([*download, "--dest", str(place), package], check=True)
        with tarfile.open(next(place.glob(f"{package}-*.tar.gz"))) as archive:
            archive.extractall(place / package, filter="data")
    return {
        "gunicorn": gunicorns(next((place / "gunicorn").glob("*/tests/requests"))),
        "llhttp, requests": llhttps(next((place / "aiohttp").glob("*/vendor/llhttp/test/request"))),
        "llhttp, responses": llhttps(next((place / "aiohttp").glob("*/vendor/llhttp/test/response"))),
    }


def gunicorns(place: Path) -> Iterator[Vector]:
    """Yield those in *place*: escaped bytes, with line ends that mean nothing."""
    for file in sorted(place.glob("*valid/*.http")):
        about = file.with_suffix(".py").read_bytes()
        if LATER.search(about):
            continue
        raw = file.read_bytes().replace(b"\n", b"").replace(b"\\r\\n", b"\r\n")
        raw = raw.replace(b"\\0", b"\0").replace(b"\\n", b"\n").replace(b"\\t", b"\t")
        raw = re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), raw)
        yield Vector(f"{file.parent.name}/{file.name}", with_host(raw), file.parent.name == "valid")


_LLHTTP = re.compile(
    r"<!-- meta=(?P<meta>[^\n]*?)-->\n```http\n(?P<raw>.*?)\n?```\n+```log\n(?P<log>.*?)```", re.DOTALL
)


def llhttps(place: Path) -> Iterator[Vector]:
    """Yield those in *place*: blocks of `http` in Markdown, each before what their parser logs of it."""
    for file in sorted(place.glob("*.md")):
        for number, found in enumerate(_LLHTTP.finditer(file.read_text())):
            if LATER.search(found["meta"].encode()):
                continue
            text = re.sub(r"\\\n", "", found["raw"]).replace("\n", "\r\n")
            for escape, character in (("r", "\r"), ("n", "\n"), ("t", "\t"), ("f", "\f")):
                text = text.replace(f"\\{escape}", character)
            text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda one: chr(int(one[1], 16)), text)
            if "${" in text or not text:  # a program that makes it
                continue
            raw, is_response = text.encode("latin-1", "replace"), "response" in found["meta"]
            taken = "error code=" not in found["log"]
            name = f"{file.parent.name}/{file.name} {number + 1}"
            yield Vector(name, raw if is_response else with_host(raw), taken, is_response)


def with_host(raw: bytes) -> bytes:
    """Return *raw* with a Host in each request of HTTP/1.1 that seems to have none."""
    if re.search(rb"(?im)^host\s*:", raw):
        return raw
    return re.sub(rb"(?m)^([!-~]+ [^\r\n]+ HTTP/1\.1\r\n)", rb"\1Host: h\r\n", raw)


def read(vector: Vector) -> tuple[str, list[Message]]:
    """Return what the core's readers do with all of it, and the whole messages in it that go on."""
    return (read_response(vector.raw), []) if vector.is_response else read_requests(vector.raw)


def read_requests(raw: bytes) -> tuple[str, list[Message]]:
    """Return the same of a connection's requests."""
    reader, found = RequestReader(), []
    try:
        while (head := reader.read(raw, READING, STRANGER, made_id)) is not None:
            content = Pieces(content_of(head.framing))
            raw = content.take(reader.take_all())
            if head.manner.refusal:
                return TAKEN, found
            if not content.content.complete:
                return WAITS, found
            line = head.onward.split(b" ", 2)
            found.append((line[0], line[1], content.taken))
            if not head.manner.keep_alive or head.manner.offered:
                return TAKEN, found  # what follows is not looked at
    except Refused:
        return REFUSED, found
    return (TAKEN if reader.is_empty else WAITS), found


def read_response(raw: bytes) -> str:
    """Return the same of a response."""
    asked, reader = request(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: x"), ResponseReader()
    try:
        head = reader.read(raw, READING, asked, reused=False)
        while isinstance(head, Interim):
            head = reader.read(b"", READING, asked, reused=False)
        if head is None:
            return WAITS
        content = content_of(head.framing, lenient=True)
        Pieces(content).take(head.received[head.end :])
    except (BadResponse, Refused):
        return REFUSED
    return TAKEN if content.complete or head.framing is UNTIL_CLOSE else WAITS


def carried(
    engine: str, vectors: dict[str, list[Vector]], place: Path
) -> Iterator[tuple[str, list[Message]]]:
    """Yield of each vector of requests what reached the backend behind *engine*."""
    gateway_process.engine = engine
    directory = place / engine
    directory.mkdir()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        config = {
            "routes": [{"path_prefix": "/", "backend": "b"}],
            "backends": [{"name": "b", "urls": [f"http://127.0.0.1:{listener.getsockname()[1]}"]}],
        }
        gateway = stack.enter_context(running(directory, config))
        recorder = stack.enter_context(recording(listener))
        for vector in (one for found in vectors.values() for one in found if not one.is_response):
            before = [len(kept) for kept in recorder.received]
            outcome, messages = read(vector)
            send(gateway.port, vector.raw, len(messages) + (outcome == REFUSED))
            before += [0] * (len(recorder.received) - len(before))
            came = [kept[at:] for kept, at in zip(recorder.received, before, strict=True)]
            yield vector.name, [one for piece in came for one in judged(bytes(piece))[0]]


@contextmanager
def recording(listener: socket.socket) -> Iterator[Recorder]:
    """Take the gateway's connections, in threads that end with them."""
    recorder, threads = Recorder(), []
    listener.settimeout(0.05)
    over = False

    def accept() -> None:
        while not over:
            with suppress(TimeoutError):
                sock, _ = listener.accept()
                threads.append(Thread(target=recorder.serve, args=(sock,), daemon=True))
                threads[-1].start()

    acceptor = Thread(target=accept)
    acceptor.start()
    try:
        yield recorder
    finally:
        over = True
        acceptor.join()


def send(port: int, raw: bytes, answers: int) -> None:
    """Send *raw*, and read so many *answers*, or to the end: who goes before is not served."""
    with socket.create_connection(("127.0.0.1", port), 3) as wire, suppress(OSError):
        wire.sendall(raw)
        received = b""
        while received.count(b"HTTP/1.1 ") < answers and (piece := wire.recv(65536)):
            received += piece


if __name__ == "__main__":
    sys.exit(main())
