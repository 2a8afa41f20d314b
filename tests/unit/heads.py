"""Heads that nearly are ordinary: names that matter, spelt in many ways, beside such that nearly do.

Small and colliding, so that lines of one name meet in one head. Left out: heads that are cut short. An
example is some lines, and stands for all heads that can be made of them: its drawing costs most.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

from hypothesis import strategies as st

names = st.sampled_from(
    [
        *(b"Host", b"host", b"HOST", b"Connection", b"connection", b"CONNECTION", b"Content-Length"),
        *(b"content-length", b"Transfer-Encoding", b"transfer-encoding", b"TE", b"te", b"Te-x", b"Trailer"),
        *(
            b"Upgrade",
            b"Keep-Alive",
            b"keep-alive",
            b"Upgrade-Insecure-Requests",
            b"Expect",
            b"HTTP2-Settings",
        ),
        *(b"X-Request-ID", b"x-request-id", b"X-Request-IDs", b"X_Request_ID", b"Proxy", b"Proxy-Connection"),
        *(
            b"X-Forwarded-For",
            b"x-forwarded-for",
            b"X-Forwarded-Proto",
            b"X-Forwarded-Host",
            b"X-Forwarded-Port",
        ),
        *(
            b"x-forwarded-port",
            b"X-Forwarded-Ports",
            b"X-Forwarded-Prefix",
            b"X-Forwarded-",
            b"X_Forwarded_For",
        ),
        *(
            b"X-Real-IP",
            b"X_Real_Ip",
            b"Forwarded",
            b"X-Rgate-Reason",
            b"Proxy-Authenticate",
            b"Cookie",
            b"Accept",
        ),
        *(
            b"User-Agent",
            b"X",
            b"_",
            b"Hos",
            b"Hostx",
            b"Via",
            b"Content-Type",
            b"Content-Encoding",
            b"Server",
        ),
        *(b" Host", b"", b"A b"),
    ]
)
values = st.sampled_from(
    [
        *(
            b"",
            b"a",
            b"a",
            b"h",
            b"a:80",
            b"keep-alive",
            b"Keep-Alive",
            b"close",
            b"Close",
            b"keep-alive, x",
            b"0",
        ),
        *(
            b"3",
            b"3",
            b"007",
            b"-1",
            b"3, 3",
            b"chunked",
            b"chunked",
            b"Chunked",
            b"trailers",
            b"100-continue",
        ),
        *(
            b"websocket",
            b"upgrade",
            b"h2c",
            b"a b",
            b" a",
            b"a\t",
            b"a, b",
            b"\xff",
            b"\x00",
            b"\x01",
            b"a\rb",
        ),
        *(b"a\nb", b"a@b", b"[::1]:80", b"timeout=5", b"1.2.3.4, 5.6.7.8", b"1 ", b"x" * 129, b"x" * 500),
    ]
)
separators = st.sampled_from([b": ", b": ", b": ", b":", b":  ", b" : ", b":\t"])
ends = st.sampled_from([*[b"\r\n"] * 12, b"\n", b"\r"])
# Most of what is sent: these, and nothing strange beside them, are ordinary.
usual = st.sampled_from(
    [
        *(
            b"Connection: keep-alive",
            b"Connection: close",
            b"Connection: keep-alive\r\nKeep-Alive: timeout=5",
        ),
        *(b"Content-Length: 3", b"content-length: 0", b"Transfer-Encoding: chunked", b"X-Request-ID: mine"),
        *(
            b"Accept: */*",
            b"User-Agent: x",
            b"Cookie: a=b; c",
            b"Server: x",
            b"Date: now",
            b"X-A: b",
            b"Via: 1.1 x",
        ),
        *(
            b"X-Forwarded-For: 1.2.3.4",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: p",
            b"X-Forwarded-Port: 1",
        ),
        *(b"X-Real-IP: 1.2.3.4", b"X_Forwarded_For: 1.2.3.4", b"Forwarded: for=a", b"Content-Type: a/b"),
    ]
).map(lambda line: line + b"\r\n")
strange = st.tuples(names, separators, values, ends).map(b"".join)
lines = st.lists(usual | strange, max_size=4)
"""Field lines, with their ends."""


def some_of(drawn: Sequence[bytes]) -> Iterator[bytes]:
    """Each selection of the lines *drawn*, in their order; first none."""
    for number in range(len(drawn) + 1):
        yield from map(b"".join, combinations(drawn, number))


methods = st.sampled_from(
    [b"GET", b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"get", b"BREW"]
)
targets = st.sampled_from(
    [
        *(
            b"/a",
            b"/a",
            b"/a/b",
            b"/a?b=c",
            b"/ab",
            b"/",
            b"/a/../b",
            b"/a/.",
            b"/a/%2e%2E/b",
            b"/a.b/.c",
            b"/a..",
            b"",
        ),
        *(
            b"/a?/../",
            b"//a//b",
            b"*",
            b"http://h/a",
            b"HTTP://i",
            b"/a#b",
            b"/a b",
            b"/\xc3\xbc",
            b"/stats",
            b"/_rgate/x",
        ),
        *(
            b"/a/..%2fb",
            b"/a/..;b",
            b"/a\\..\\b",
            b"/a/...",
            b"/%2e",
            b"/a?%2e%2e/",
            b"/a%2f.",
            b"?",
            b"/a/%",
            b"/" * 300,
        ),
    ]
)
versions = st.sampled_from([*[b"HTTP/1.1"] * 8, b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0"])
request_lines = st.tuples(methods, targets, versions).map(lambda parts: b" ".join(parts) + b"\r\n")
hosts = st.sampled_from(
    [*[b"Host: h\r\n"] * 5, b"host: h:80\r\n", b"Host: [::1]\r\n", b"Host:\r\n", b"Host: a@b\r\n", b""]
)

status_lines = st.sampled_from(
    [
        *[b"HTTP/1.1 200 OK"] * 4,
        *(b"HTTP/1.1 200", b"HTTP/1.1 404 ", b"HTTP/1.1 599 \xff", b"HTTP/1.0 200 OK", b"HTTP/1.1 600 X"),
        *(b"HTTP/1.1 101 S", b"HTTP/1.1 103 E", b"HTTP/1.1 204 N", b"HTTP/1.1 304 N", b"HTTP/1.1 408 T"),
        *(b"HTTP/1.1 2000 O", b"HTTP/1.1  200 OK", b"HTTP/1.1 200 O\x01", b"http/1.1 200 OK"),
    ]
).map(lambda line: line + b"\r\n")
framings = st.sampled_from([*[b"Content-Length: 3\r\n"] * 2, b"Transfer-Encoding: chunked\r\n", b""])
