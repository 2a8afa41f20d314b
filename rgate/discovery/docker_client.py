"""Asks one Docker through its SDK: clients, the version of its API, its stream of events. What it answers is
as Docker sends it; whoever asks makes containers of it. The SDK's exceptions: docker_errors.py.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

import docker
from docker.errors import APIError
from docker.tls import TLSConfig
from docker.utils.json_stream import json_stream

from rgate.discovery.daemon import Daemon
from rgate.discovery.deadlines import EndlessAnswer, bound_calls
from rgate.discovery.docker_errors import FOREIGN, NOT_UNDERSTOOD, sentence_for, shown_host
from rgate.discovery.source import SourceError

# A daemon that is frozen accepts and never answers: no call may wait for it longer.
CALL_TIMEOUT_S: Final = 5
INSPECT_TIMEOUT_S: Final = 2
# A busy daemon may take that long for many containers; pings meanwhile tell whether it is there.
LIST_TIMEOUT_S: Final = 60

LONGEST_MESSAGE: Final = 1 << 20
"""In bytes, of an event; and so much may stand between two."""

_LIMITS_OF_A_LOGIN: Final = ("timeout", "banner_timeout", "auth_timeout", "channel_timeout")
_ANY_VERSION: Final = "1.44"  # to ask for the version, no version of the API is named

try:
    from docker.transport import SSHHTTPAdapter
except ImportError:  # the extra `ssh` is not installed, which the SDK tells of
    pass
else:

    class _BoundedLogin(SSHHTTPAdapter):
        """The SDK's, whose login has an end, and leaves no connection open where it fails."""

        def _connect(self) -> None:
            login: Any = self
            limits = dict.fromkeys(_LIMITS_OF_A_LOGIN, CALL_TIMEOUT_S)
            try:
                login.ssh_client.connect(**login.ssh_params, **limits)
            except BaseException:
                login.ssh_client.close()
                raise

    # There is no other way to have the SDK make it.
    docker.api.client.SSHHTTPAdapter = _BoundedLogin  # type: ignore[attr-defined]

MakeClient = Callable[[int, str], docker.DockerClient]
"""Returns a client with a time limit for each of its calls, for a version of the API. It asks nothing."""


def make_client(daemon: Daemon, timeout_s: int, version: str) -> docker.DockerClient:
    """Return a client for *daemon*. Raises SourceError where there is none to ask.

    Variables that are meant for other programs have no part in it: bundles of certificates, proxies.
    """
    if daemon.problem:
        raise SourceError(daemon.problem)
    files = daemon.certificates
    own = (files.cert, files.key) if files is not None and files.cert else None
    tls = files and TLSConfig(client_cert=own, ca_cert=files.ca, verify=files.is_verified)
    client = docker.DockerClient(daemon.host, version, timeout_s, tls=tls or False)
    client.api.trust_env = False
    bound_calls(client.api)
    return client


class DockerClients:
    """The clients for one *daemon*. Making them never fails; it is first met by a call."""

    def __init__(self, daemon: Daemon, make: MakeClient | None = None) -> None:
        self._daemon = daemon
        self._make = make or partial(make_client, daemon)
        self._lock = threading.Lock()  # protects all below
        # By time limit and version of the API: the SDK has one of each for all calls of a client.
        self._clients: dict[tuple[int, str], Any] = {}
        self._api_version = ""  # that of the daemon, once it was asked
        self._date = ""  # when it answered last, by its own clock

    @property
    def is_of_this_machine(self) -> bool:
        """Whether the daemon has the clock of this machine."""
        return not self._daemon.published_host

    def asked_version(self) -> str:
        """Ask for the daemon's version, and that of its API."""
        api = self._client(CALL_TIMEOUT_S, _ANY_VERSION).api
        # The one thing that the SDK keeps to itself: the time on the daemon's clock.
        api.hooks = {"response": [self._note_date]}
        told = api.version(api_version=False)
        self._api_version = str(told["ApiVersion"])
        return str(told["Version"])

    def answered_at(self) -> int | None:
        """Return when the daemon told its version, by its own clock (Unix seconds); None: it does not say."""
        return _unix_s(self._date)

    def api(self, timeout_s: int) -> Any:
        """Return the SDK's low-level client for calls that may take so long."""
        self._negotiate()
        return self._client(timeout_s, self._api_version).api

    def messages(self, filters: Mapping[str, list[str]], *, until: int | None = None) -> "Messages":
        """Return the daemon's events from a moment before this call on. *until*: by its clock, in Unix s;
        None: for ever.
        """
        self._negotiate()
        client = self._make(CALL_TIMEOUT_S, self._api_version)
        return Messages(client, self.answered_at(), until, filters)

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones, and asks for the version anew."""
        with self._lock:
            clients, self._clients, self._api_version = self._clients, {}, ""
        for client in clients.values():
            with contextlib.suppress(*FOREIGN):
                client.close()

    @contextlib.contextmanager
    def foreign_errors(self, timeout_s: int = CALL_TIMEOUT_S) -> Iterator[None]:
        """Turn what the SDK and the libraries below it raise into SourceError, with a sentence for people."""
        try:
            yield
        except (*FOREIGN, *NOT_UNDERSTOOD) as error:
            raise SourceError(self.sentence_for(error, timeout_s)) from error

    def sentence_for(self, error: Exception, timeout_s: int) -> str:
        """Return why the daemon did not answer within *timeout_s*, and what to do, by the *error* of that."""
        return sentence_for(error, shown_host(self._daemon.host), timeout_s, self._daemon.said_by)

    def _client(self, timeout_s: int, version: str) -> Any:
        with self._lock:
            known = self._clients.get((timeout_s, version))
        if known is not None:
            return known
        made = self._make(timeout_s, version)  # which may take its time, by SSH
        with self._lock:
            kept = self._clients.setdefault((timeout_s, version), made)
        if kept is not made:  # another call made one meanwhile
            with contextlib.suppress(*FOREIGN):
                made.close()
        return kept

    def _negotiate(self) -> None:
        if not self._api_version:
            self.asked_version()

    def _note_date(self, response: Any, **_: Any) -> None:
        self._date = response.headers.get("Date", "")


class Messages:
    """Events as the daemon sends them. The request is made by iterating, as it may block till the first."""

    def __init__(
        self,
        client: docker.DockerClient,
        since: int | None,
        until: int | None,
        filters: Mapping[str, list[str]],
    ) -> None:
        self._client: Any = client
        self._since = since
        self._until = until
        self._filters = filters
        self._stream: Any = None
        self._unfinished = 0  # bytes, since the last message

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield them as they come. Raises what the SDK raises, and EndlessAnswer."""
        self._client.api.hooks = {"response": [_not_refused]}
        self._stream = self._client.api.events(since=self._since, until=self._until, filters=self._filters)
        messages: Iterator[Any] = json_stream(self._pieces())
        for message in messages:
            self._unfinished = 0
            yield message

    def _pieces(self) -> Iterator[Any]:
        """Yield what comes, as long as it makes messages: the SDK keeps whatever makes none."""
        for piece in self._stream:
            self._unfinished += len(piece)
            if self._unfinished > LONGEST_MESSAGE:
                raise EndlessAnswer
            yield piece

    @property
    def has_begun(self) -> bool:
        """Whether the daemon answered with events, though none may have come yet."""
        return self._stream is not None

    def close(self) -> None:
        """End the iteration, from any thread."""
        with contextlib.suppress(*FOREIGN, AttributeError):
            if self._stream is not None:
                self._stream.close()
        with contextlib.suppress(*FOREIGN):
            self._client.close()


def _not_refused(response: Any, **_: Any) -> None:
    """Raise APIError for a refusal, which the SDK would take for the end of the events."""
    if not response.ok:
        response.close()
        raise APIError("refused", response=response)


def _unix_s(date: str) -> int | None:
    """Return an HTTP date in Unix seconds; None where it is none: events are then those from now on."""
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except ValueError:
        return None
