"""A request's content on its way: what is sent again is exactly what was sent before (behaviour 6)."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.config import Timeouts
from rgate.core.content import chunk, content_of, last_chunk
from rgate.core.message import CHUNKED, Fields, Refused, RequestFraming
from rgate.core.patience import REPLAYABLE_BYTES
from rgate.core.reasons import Failure, Reason
from rgate.core.upload import NO_CONTENT, Upload, may_be_repeated
from tests.unit.messages import request


@dataclass
class Sending:
    """Sends an upload as engines do: what came goes over a new connection from its start."""

    upload: Upload
    sent: list[bytes] = field(default_factory=list)  # over the present connection
    is_connected: bool = False

    def connect(self) -> None:
        self.is_connected = True
        self.sent = self.upload.from_its_start()

    def fail(self) -> None:
        """Come to nothing; content may come before the next connection is there."""
        self.is_connected, self.sent = False, []
        self.upload.again()

    def take(self, data: bytes) -> bytes:
        framed, end = self.upload.take(data, 0)
        if self.is_connected:
            self.sent.append(framed)
        return data[end:]


# Sizes on both sides of what is kept.
sizes = st.sampled_from(
    [1, 100, 20_000, 40_000, REPLAYABLE_BYTES - 1, REPLAYABLE_BYTES, REPLAYABLE_BYTES + 1]
)
TRAILERS: Fields = ((b"T", b"u"),)


def framed_as(framing: RequestFraming, pieces: list[bytes], trailers: Fields) -> bytes:
    if framing is CHUNKED:
        return b"".join(map(chunk, pieces)) + last_chunk(trailers)
    return b"".join(pieces)


def read(framing: RequestFraming, raw: bytes) -> tuple[bytes, Fields]:
    content = content_of(framing)
    taken, end = content.take(raw, 0)
    assert content.complete
    assert end == len(raw)
    return taken, content.trailers


@given(
    sizes=st.lists(sizes, min_size=1, max_size=5),
    is_chunked=st.booleans(),
    trailers=st.sampled_from([(), TRAILERS]),
    connect_before=st.sets(st.integers(0, 6)),
    fail_before=st.sets(st.integers(0, 6)),
    cut=st.sampled_from([997, 16_384, 70_000]),
)
def test_what_is_sent_again_is_what_was_sent_before(
    sizes: list[int],
    is_chunked: bool,
    trailers: Fields,
    connect_before: set[int],
    fail_before: set[int],
    cut: int,
) -> None:
    pieces = [bytes([97 + index]) * size for index, size in enumerate(sizes)]
    framing: RequestFraming = CHUNKED if is_chunked else sum(sizes)
    raw = framed_as(framing, pieces, trailers)
    sending = Sending(Upload(framing, None))
    rest, came = b"", 0
    for index, start in enumerate(range(0, len(raw), cut)):
        if index in fail_before and sending.is_connected and sending.upload.replayable:
            sending.fail()
        if index in connect_before and sending.upload.replayable:
            before = b"".join(sending.sent)
            sending.connect()
            assert b"".join(sending.sent).startswith(before)
        rest = sending.take(rest + raw[start : start + cut])
        came = start + cut
    if not sending.is_connected:
        sending.connect()
    assert (came >= len(raw), sending.upload.complete, rest) == (True, True, b"")
    assert read(framing, b"".join(sending.sent)) == (b"".join(pieces), trailers if is_chunked else ())


def test_all_is_kept_until_it_was_sent_and_a_little_after_that() -> None:
    upload = Upload(3 * REPLAYABLE_BYTES, None)
    upload.take(b"a" * 2 * REPLAYABLE_BYTES, 0)
    assert upload.replayable
    assert b"".join(upload.from_its_start()) == b"a" * 2 * REPLAYABLE_BYTES
    assert not upload.replayable
    assert upload.from_its_start() == []  # nothing is held of what cannot be sent again

    little = Upload(2 * REPLAYABLE_BYTES, None)
    assert little.from_its_start() == []
    little.take(b"a" * REPLAYABLE_BYTES, 0)
    assert little.replayable
    assert b"".join(little.from_its_start()) == b"a" * REPLAYABLE_BYTES
    little.take(b"a", 0)
    assert not little.replayable
    assert little.from_its_start() == []


@pytest.mark.parametrize("framing", [CHUNKED, 4])
def test_content_over_the_limit_is_refused_as_it_comes(framing: RequestFraming) -> None:
    raw = framed_as(framing, [b"ab", b"cd"], ())
    for most in (4, None):
        upload = Upload(framing, most)
        upload.take(raw, 0)
        assert upload.complete
    with pytest.raises(Refused) as refused:
        Upload(framing, 3).take(raw, 0)
    assert refused.value.reason is Reason.BODY_TOO_LARGE
    assert "`limits.body_bytes`, 3 bytes" in refused.value.detail


def test_chunks_and_trailers_are_written_anew() -> None:
    upload = Upload(CHUNKED, None)
    raw = b"1;a=b\r\na\r\n02\r\nbc\r\n0\r\nT: u\r\nHost: h\r\nX-Forwarded-For: x\r\n\r\nGET"
    assert upload.take(raw, 0) == (b"3\r\nabc\r\n0\r\nT: u\r\n\r\n", len(raw) - 3)
    assert upload.complete


def test_nothing_is_sent_for_a_part_of_a_chunks_size() -> None:
    upload = Upload(CHUNKED, None)
    assert upload.take(b"1", 0) == (b"", 1)
    assert upload.take(b"\r\n", 0) == (b"", 2)
    assert upload.take(b"a\r\n0\r\n\r", 0) == (b"1\r\na\r\n", 7)
    assert upload.take(b"\n", 0) == (b"0\r\n\r\n", 1)
    assert b"".join(upload.from_its_start()) == b"1\r\na\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("came", "unsent", "late"),
    [
        (b"abc", False, Failure.TIMEOUT),
        (b"abc", True, Failure.UNREAD),
        (b"ab", True, Failure.UNREAD),
        (b"ab", False, Reason.REQUEST_TIMEOUT),
    ],
)
def test_who_is_late_depends_on_how_far_it_came(came: bytes, unsent: bool, late: Failure | Reason) -> None:
    upload = Upload(3, None)
    upload.take(came, 0)
    found = upload.late(Timeouts(idle=7), unsent=unsent)
    if isinstance(found, Refused):
        assert found.reason is late
        assert found.detail == "Nothing of the body came for 7 s."
    else:
        assert found is late


@pytest.mark.parametrize(
    "method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"POST", b"PATCH", b"BREW"]
)
def test_what_was_sent_may_be_repeated_if_it_has_no_further_effect_and_all_of_it_is_kept(
    method: bytes,
) -> None:
    asked = request(method + b" /a HTTP/1.1")
    idempotent = method not in (b"POST", b"PATCH", b"BREW")
    assert may_be_repeated(asked, NO_CONTENT) is idempotent
    large = Upload(2 * REPLAYABLE_BYTES, None)
    large.take(b"a" * 2 * REPLAYABLE_BYTES, 0)
    assert may_be_repeated(asked, large) is idempotent
    large.from_its_start()
    assert not may_be_repeated(asked, large)


def test_no_content_is_complete_and_can_be_sent_again_at_any_time() -> None:
    assert (NO_CONTENT.complete, NO_CONTENT.replayable, NO_CONTENT.from_its_start()) == (True, True, [])
