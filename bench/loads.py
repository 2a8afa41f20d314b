"""The requests under which gateways are measured side by side, and what each is for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.backend import CONTENT, ECHO, MESSAGE
from bench.gateways import Site
from bench.load import Load
from bench.origin import LARGE_BYTES

BROWSER = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Connection", "keep-alive"),
    ("Referer", "https://shop.example.org/catalogue/things?page=3"),
    (
        "Cookie",
        "session=0123456789abcdef0123456789abcdef; theme=dark; consent=all; _id=GA1.1.1234567.1700000000",
    ),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
)

SMALL = Load("/api/json/42", CONTENT)
PROXY = (
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example.org"),
    ("X-Forwarded-Port", "443"),
)
UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
UPLOAD = Load("/api/upload", CONTENT, "POST", content_bytes=65536, connections=8)


@dataclass(frozen=True)
class Scenario:
    """A load, and what is set for it otherwise than everywhere.

    *origin*: nginx, or "own", a backend of our own. *trusted*, *defaults*: as of Site. *without*: a gateway
    that cannot do it.
    """

    title: str
    load: Load
    origin: str = "nginx"
    trusted: bool = False
    defaults: bool = False
    without: str = ""

    def site(self, ports: Mapping[str, tuple[int, ...]]) -> Site:
        """Return the site, with one backend of those on *ports*."""
        return Site(ports[self.origin][:1], trusted=self.trusted, defaults=self.defaults)


LOADS = {
    "json": Scenario("100-byte JSON GET, 32 connections", SMALL),
    "browser": Scenario(
        "browser-like: 12 fields with cookies, response with 10 fields",
        Load("/api/page", CONTENT, fields=BROWSER),
    ),
    "general": Scenario(
        "a request out of the ordinary: TE: trailers",
        Load("/api/json/42", CONTENT, fields=(("TE", "trailers"),)),
    ),
    "download": Scenario("1 MiB response", Load("/api/large", bytes(LARGE_BYTES), connections=8)),
    "upload": Scenario("64 KiB request body", UPLOAD),
}
# What people really send, most of which is not a GET in one write that is answered in one write.
PEOPLE = {
    "traced": Scenario(
        "GET with a trace id, answered with another: no head is like the one before",
        Load("/api/traced", CONTENT, traced=True),
    ),
    "post": Scenario(
        "POST of 100 bytes, head and content by themselves",
        Load("/api/upload", CONTENT, "POST", content_bytes=100, segments=True),
    ),
    "chunked": Scenario(
        "the same, chunked",
        Load("/api/upload", CONTENT, "POST", content_bytes=100, segments=True, chunked=True),
    ),
    "trusted": Scenario(
        "GET by a trusted proxy, with its X-Forwarded-*",
        Load("/api/json/42", CONTENT, fields=PROXY),
        trusted=True,
    ),
    "head": Scenario("HEAD", Load("/api/json/42", CONTENT, "HEAD")),
    "connection": Scenario(
        "a connection for each GET", Load("/api/json/42", CONTENT, fields=(("Connection", "close"),))
    ),
    "closing": Scenario(
        "a backend that closes after each response (gunicorn, sync)", Load("/api/closing", CONTENT), "own"
    ),
    "uvicorn": Scenario("a response in two writes, as uvicorn's", Load("/api/uvicorn", CONTENT), "own"),
    "gunicorn": Scenario("as gunicorn's, with threads", Load("/api/gunicorn", CONTENT), "own"),
    "node": Scenario("as Node's: chunked, the last chunk by itself", Load("/api/node", CONTENT), "own"),
    "segments": Scenario("64 KiB up, head and content by themselves", replace(UPLOAD, segments=True)),
    "defaults": Scenario(
        "the same, nginx as it is by default", replace(UPLOAD, segments=True, connections=64), defaults=True
    ),
    "websocket": Scenario(
        "a WebSocket message of 100 bytes and its echo",
        Load("/api/socket", ECHO, fields=UPGRADE, message=MESSAGE),
        "own",
        without="rgate (flask)",
    ),
}
