"""Where a command looks for containers: the sources of a configuration, or a snapshot of what they said
(behaviour 9).

    looked = look(options, config)                  # --snapshot FILE, or Docker
    gateway = looked.gateway(config)                # as one that starts now would have it

Where a command tells of one backend only, what it cannot tell of the others need not stop it:

    gateway = looked.gateway(config, doubtful=True)
    if (doubt := looked.doubts(config).get(backend)) is not None:
        raise doubt
"""

import random
import socket
import time
from argparse import Namespace
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rgate.cli.waiting import told_if_slow
from rgate.core.address import HostView, own_networks
from rgate.core.config import Config, Source
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.left_out import LeftOutKeys, LeftOutLabel, doubts
from rgate.core.recording import RecordedSource, Recording, read
from rgate.core.seen import Seen
from rgate.core.selection import views_of
from rgate.core.tracing import tracer_of
from rgate.discovery.look import containers_of
from rgate.discovery.own_container import own_container_id
from rgate.discovery.source import SourceError
from rgate.discovery.sources import opened


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What one source shows, and how fresh that is; *left_out*: of labels whose values were left out of a
    snapshot the keys, by the container's id.
    """

    seen: Seen
    knowledge: Knowledge
    left_out: LeftOutKeys = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Looked:
    """What is there. *asked*: which sources, one for each that was looked at; None: a snapshot tells it."""

    at: tuple[LookedAt, ...]
    asked: tuple[Source, ...] | None = None

    def of(self, config: Config) -> tuple[LookedAt, ...]:
        """Return what those show that *config* asks; a snapshot without `sources`, what it has."""
        if self.asked is not None:
            by_source = dict(zip(self.asked, self.at, strict=True))
            return tuple(by_source[source] for source in config.asked_sources)
        if not config.sources:
            return self.at
        by_name = {one.seen.source: one for one in self.at}
        return tuple(by_name.get(source.name) or _not_recorded(source.name) for source in config.sources)

    def seen(self, config: Config) -> tuple[Seen, ...]:
        """Return what the sources of *config* show."""
        return tuple(one.seen for one in self.of(config))

    def knowledge(self, config: Config) -> tuple[Knowledge, ...]:
        """Return how fresh that is."""
        return tuple(one.knowledge for one in self.of(config))

    def away(self, config: Config, form: str = "{} does not answer: {}") -> str:
        """Return which sources of *config* do not answer, and why, for people; "" where all do."""
        seen = self.seen(config)
        who = (f"Docker {one.source}" if len(seen) > 1 else "Docker" for one in seen)
        return "; ".join(
            form.format(name, one.error) for name, one in zip(who, seen, strict=True) if one.error
        )

    def gateway(self, config: Config, *, can_tunnel: bool = True, doubtful: bool = False) -> Gateway:
        """Return a gateway with *config*, as one that starts now would have it.

        Raises LeftOutLabel where the view of a backend would rest on a label that was left out; unless it
        may be *doubtful*.
        """
        if not doubtful:
            for doubt in self.doubts(config).values():
                raise doubt
        views = views_of(config.backends, self.seen(config))
        machine_name = socket.gethostname()
        tracer = tracer_of(config.tracing, b"", random.getrandbits)
        return Gateway(
            config,
            views,
            random.random,
            can_tunnel=can_tunnel,
            machine_name=machine_name,
            tracer=tracer,
        )

    def doubts(self, config: Config) -> dict[str, LeftOutLabel]:
        """Return, by the name of a backend, why it cannot be told what becomes of its requests."""
        return doubts(config.backends, self.seen(config), self.left_out(config))

    def left_out(self, config: Config) -> dict[str, LeftOutKeys]:
        """Return the keys of labels whose values were left out, by the name of the source."""
        return {one.seen.source: one.left_out for one in self.of(config)}


def look(options: Namespace, *configs: Config) -> Looked:
    """Return what the snapshot holds that *options* names, or what those say that *configs* ask.

    Raises ConfigErrors where the snapshot cannot be read.
    """
    if options.snapshot is not None:
        return looked_at_recording(load_recording(options.snapshot), time.time())
    return look_at(source for config in configs for source in config.asked_sources)


def own_id() -> str:
    """Return how the id begins of the container that this process runs in; "" for none."""
    return own_container_id()


@told_if_slow("asking Docker for its containers")
def look_at(sources: Iterable[Source]) -> Looked:
    """Return what *sources* say now, all asked at once; nothing of one that does not answer within some
    seconds.
    """
    asked = tuple(dict.fromkeys(sources))
    with ThreadPoolExecutor(max(1, len(asked))) as threads:
        return Looked(tuple(threads.map(_look_at, asked)), asked)


def _look_at(asked: Source) -> LookedAt:
    source, daemon = opened(asked)
    try:
        version = source.ping()
        containers = containers_of(source)
    except SourceError as error:
        away = Knowledge(asked.name, Connection.NEVER, since=time.time(), error=str(error))
        host = HostView(daemon.published_host)
        return LookedAt(Seen(None, host, asked.name, str(error)), away)
    finally:
        source.close()
    host = HostView(daemon.published_host, own_networks(own_container_id(), containers))
    knowledge = _listed(Knowledge(asked.name, version=version, since=time.time()), 0.0)
    return LookedAt(Seen(containers, host, asked.name), knowledge)


def looked_at_recording(recording: Recording, now: float) -> Looked:
    """Return what *recording* holds. *now*: in Unix seconds."""
    recorded = tuple(_recorded(source, recording.taken, now) for source in recording.sources)
    return Looked(recorded or (LookedAt(Seen(()), Knowledge()),))


def _recorded(source: RecordedSource, taken: float, now: float) -> LookedAt:
    knowledge = _listed(Knowledge(source.name, since=taken, version=source.version), now - taken)
    return LookedAt(Seen(source.containers, source.host, source.name), knowledge, source.left_out)


def _not_recorded(name: str) -> LookedAt:
    error = f"the snapshot holds nothing of the source {name}: record it again, with this configuration"
    return LookedAt(Seen(None, source=name, error=error), Knowledge(name, error=error))


def _listed(knowledge: Knowledge, ago_s: float) -> Knowledge:
    """Return *knowledge* of a source that was asked once, and answered."""
    return Knowledge(
        knowledge.source,
        Connection.CONNECTED,
        knowledge.since,
        max(0.0, ago_s),
        Events.POLLED,
        version=knowledge.version,
    )


def load_recording(path: str) -> Recording:
    """Return the recording in the file *path*. Raises ConfigErrors with all that is wrong."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name another with --snapshot"
        raise ConfigErrors((ConfigError(path, 0, "", message),)) from error
    return read(data, path)
