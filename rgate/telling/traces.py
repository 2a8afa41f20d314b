"""Spans on their way to a collector, by the OpenTelemetry SDK's batch processor (behaviour 10.traces).

A request leaves its record, in a microsecond; the processor's thread makes a span of it, and sends it. Why
that is not done by the SDK's `Tracer`: docs/decisions/010-traces.md.
"""

import contextlib
import logging
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import (
    OTEL_BSP_SCHEDULE_DELAY,
    OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from rgate._version import __version__
from rgate.core.causes import causes
from rgate.core.record import Record, short_record
from rgate.core.spans import told_span
from rgate.core.traceparent import Span

log = logging.getLogger("rgate")

_END_S: Final = 1.0
_ANSWER_S: Final = 5.0  # tries of the same batch included
_MOST_WAITING: Final = 4096
_MOST_AT_ONCE: Final = 128
_EACH_MS: Final = 1000.0
_SWITCH_S: Final = 0.0005
_TIMEOUTS: Final = frozenset({OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT})
_SILENT: Final = "no answer in time"
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("rgate", __version__)


class Traces:
    """A `RecordLog` that sends the spans of requests to the collector at *endpoint*. Close it at the end."""

    def __init__(self, endpoint: str) -> None:
        # What it has to say of each batch is told here, once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._sending = _Sending(endpoint)
        self._processor = BatchSpanProcessor(
            self._sending,
            max_queue_size=_MOST_WAITING,
            max_export_batch_size=_MOST_AT_ONCE,
            schedule_delay_millis=None if OTEL_BSP_SCHEDULE_DELAY in os.environ else _EACH_MS,
        )

    def add(self, record: Record) -> None:
        """Take *record*, where its span is to be sent. Where too many wait, the oldest is lost."""
        if record.span is not None:
            self._processor.on_end(_Ended(short_record(record), record.span))

    def counter(self, route: str, backend: str, container: str) -> None:
        """Return None: a span is made of a record."""

    def closing(self) -> Callable[[], None]:
        """Begin to send what waits; return what waits for that, until a second from now at most: what is left
        then is lost.
        """
        last = threading.Thread(target=self._processor.shutdown, name="rgate-last-traces", daemon=True)
        until_s = time.monotonic() + _END_S
        with contextlib.suppress(RuntimeError):  # the system gives no thread
            last.start()

        def wait() -> None:
            if last.ident:
                last.join(max(0.0, until_s - time.monotonic()))
            if last.is_alive() or not last.ident:
                self._sending.give_up()

        return wait


@contextmanager
def _others_first() -> Iterator[None]:
    """Let who serves requests wait no longer than half a millisecond for the interpreter, while this thread
    works in it: by itself it would be ten times that, each time.
    """
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


class _Ended(ReadableSpan):
    """A request that ended, as the batch processor keeps it until `_Sending` makes a span of it.

    The processor looks at nothing of it but whether it is sampled.
    """

    def __init__(self, record: Record, span: Span) -> None:
        self.record = record
        self.span = span

    @property
    def context(self) -> SpanContext:
        return _ANY_CONTEXT


_ANY_CONTEXT: Final = SpanContext(1, 1, is_remote=False, trace_flags=_SAMPLED)


class _Sending(SpanExporter):
    """Sends batches of what ended. Used by the processor's thread, but for `give_up`."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._session = _Session()
        timeout_s = None if _TIMEOUTS & os.environ.keys() else _ANSWER_S
        self._exporter = OTLPSpanExporter(endpoint, timeout=timeout_s, session=self._session)
        about = Resource.create({"service.name": "rgate", "service.version": __version__})
        self._resource = about.merge(OTELResourceDetector().detect())  # the environment's word counts
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            with _others_first():
                made = [_made(one, self._resource) for one in spans if isinstance(one, _Ended)]
                result = self._exporter.export(made)
        except Exception:  # a defect of ours, or of the SDK, costs one batch, and is told of
            log.exception("traces failed")
            return SpanExportResult.FAILURE
        self._tell(failing=result is not SpanExportResult.SUCCESS)
        return result

    def _tell(self, *, failing: bool) -> None:
        if failing == self._is_failing:
            return
        self._is_failing = failing
        if failing:
            log.warning(
                "traces are lost: the collector at %s takes none (%s); see whether it runs, and check "
                "`tracing.endpoint`",
                self._endpoint,
                self._session.why,
            )
        else:
            log.warning("traces go on: the collector at %s takes them again", self._endpoint)

    def give_up(self) -> None:
        """Send nothing more, as rgate ends."""
        self._tell(failing=True)
        self.shutdown()

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _Session(requests.Session):
    """Remembers *why* the last batch was not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # no proxy of the user's has a part in it
        self.why = _SILENT

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.why = _SILENT
        try:
            response = super().send(request, **options)
        except Exception as error:
            self.why = _why(error)
            raise
        self.why = f"it answers {response.status_code}"
        return response


def _why(error: Exception) -> str:
    """Return why nobody took a batch, as far as that can be told in a few words."""
    for cause in reversed(list(causes(error))):
        match cause:
            case socket.gaierror():
                return "its name is not known"
            case ssl.SSLError():
                return "there is no TLS with it"
            case TimeoutError() | requests.Timeout():
                return _SILENT
            case OSError(errno=int(number)):
                return os.strerror(number)
    return type(error).__name__


def _made(ended: _Ended, resource: Resource) -> ReadableSpan:
    """Return the span of a request that ended."""
    told, span = told_span(ended.record, ended.span), ended.span
    state = TraceState.from_header([span.state.decode("latin-1")]) if span.state else None
    return ReadableSpan(
        told.name,
        _context(span.trace_id, span.span_id, state, is_remote=False),
        _context(span.trace_id, span.parent_id, state, is_remote=True) if span.parent_id else None,
        resource,
        told.attributes,
        [Event(one.name, one.attributes, one.at_ns) for one in told.events],
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR, told.error) if told.error else Status(StatusCode.UNSET),
        start_time=told.start_ns,
        end_time=told.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: bytes, span_id: bytes, state: TraceState | None, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, _SAMPLED, state)
