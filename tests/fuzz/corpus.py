"""The kept inputs of each target, and what is made of them without chance: the same on each run."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent / "corpus"

WORDS: Final = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\x85", b"\xff", b":", b";", b",", b"="),
    *(b"GET ", b"POST ", b"HEAD ", b"CONNECT ", b"OPTIONS * ", b"/a", b"http://i/", b"?", b"#", b" HTTP/1.1"),
    *(b" HTTP/1.0", b" HTTP/2.0", b"Host: h", b"Host:", b"Content-Length: 3", b"Content-Length:", b"+3"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding:", b"Connection: close", b"Connection: upgrade"),
    *(b"Connection: keep-alive", b"Keep-Alive: 5", b"Upgrade: websocket", b"TE: trailers", b"Trailer: T"),
    *(b"Expect: 100-continue", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Prefix: /p", b"Forwarded: for=a"),
    *(b"X-Forwarded-Proto: https", b"X-Forwarded-Host: a", b"X-Forwarded-Port: 1", b"X-Request-ID: mine"),
    *(b"X-Real-IP: 1", b"Proxy: a", b"HTTP2-Settings: a", b"Via: 1.1 a", b"X-Rgate-Reason: bad_request"),
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204 N", b"HTTP/1.1 304 N", b"HTTP/1.1 101 S", b"HTTP/1.1 103 E"),
    *(b"\r\n\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n", b"3;a=b\r\n", b'3;a="\\""\r\n', b"ffffffffffffffff\r\n"),
    *(b"text/html", b"text/*", b"*/*", b"application/json", b"application/*", b";q=0.5", b";q=", b"nan"),
    *(b"charset=", b"utf-8", b"utf-16", b"latin-1", b"application/problem+json", b"text/plain"),
    *(b"window=", b"by=", b"limit=", b"since=", b"status=", b"failed=1", b"reason=", b"id=", b"%2B", b"&"),
    *(b"2026-01-31T12:00:00Z", b"+01:00", b"0001-01-01T00:00:00+23:59", b"15m", b"366d", b"1e9"),
    *(b"target=", b"method=", b"header=", b"client=", b"host=", b"%0d%0a", b"%00", b"%ff", b"%ed%a0%80"),
    *(b"/..", b"/.", b"%2e", b"%2f", b"%5c", b"\\", b"..;x", b"[::1]", b"127.0.0.1", b".localhost", b":80"),
    *(b"routes:", b"backends:", b"- name: a", b"match_labels:", b"urls:", b"path_prefix: /", b"<<: *a"),
    *(b"*a", b"&a ", b"!!binary ", b"!!timestamp ", b"!!int ", b"0x1", b"1_0", b"1:30", b".nan", b".inf"),
    *(b"|\n", b">-\n", b"---\n", b"...\n", b'"\\ud800"', b"\\u0000", b"{", b"}", b"[", b"]", b"'", b'"'),
    *(b"cases:", b"request: GET /a", b"expect:", b"outcome: own", b"status: 200", b"containers: "),
    *(b'"rgate_snapshot": 1', b'"taken"', b'"sources"', b'"containers"', b'"labels"', b'"left_out_labels"'),
    *(b"00-", b"ff-", b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7", b"-01", b"-", b"0" * 32),
    *(b'"state": "running"', b'"networks"', b'"published"', b"app=a", b"app", b"-1", b"65536", b"1e400"),
)  # fmt: skip
"""What inputs are made of, and chance would take long to spell."""


def kept(target: str) -> list[bytes]:
    """Return the kept inputs of *target*: in a file of JSON, a character for each byte."""
    return [text.encode("latin-1") for text in json.loads((HERE / f"{target}.json").read_text())]


def keep(target: str, inputs: list[bytes]) -> None:
    """Keep *inputs* and no others, the shortest first."""
    texts = [one.decode("latin-1") for one in sorted(set(inputs), key=lambda one: (len(one), one))]
    lines = ",\n".join(json.dumps(text) for text in texts)
    (HERE / f"{target}.json").write_text(f"[\n{lines}\n]\n")


def mutated(inputs: list[bytes], number: int, seed: str, longest: int) -> Iterator[bytes]:
    """Yield *number* inputs, each made of one or two of *inputs* by some changes; the same for a *seed*."""
    choose = random.Random(seed)
    for _ in range(number):
        made = bytearray(choose.choice(inputs))
        for _ in range(choose.choice((1, 1, 1, 2, 3, 5))):
            _change(made, inputs, choose)
        yield bytes(made[:longest])


def _change(made: bytearray, inputs: list[bytes], choose: random.Random) -> None:
    at = choose.randrange(len(made) + 1)
    end = min(at + choose.choice((1, 1, 2, 4, 16)), len(made))
    match choose.randrange(6):
        case 0:
            made[at:at] = choose.choice(WORDS)
        case 1:
            made[at:end] = choose.choice(WORDS)
        case 2:
            del made[at:end]
        case 3:
            made[at:end] = made[at:end] * choose.choice((2, 3, 40))
        case 4:
            made[at:end] = bytes((choose.randrange(256),))
        case _:
            other = choose.choice(inputs)
            made[at:] = other[choose.randrange(len(other) + 1) :]
