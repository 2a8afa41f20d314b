"""Where a command looks for containers: Docker, or a snapshot of what it said (behaviour 9).

    looked = look(options)                          # --snapshot FILE, or Docker
    gateway = looked.gateway(load_config(…))        # as one that starts now would have it

Where a command tells of one backend only, what it cannot tell of the others need not stop it:

    gateway = looked.gateway(config, doubtful=True)
    if (doubt := looked.doubts(config).get(backend)) is not None:
        raise doubt
"""

import random
import socket
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field

from rgate.cli.waiting import told_if_slow
from rgate.core.address import HostView, own_networks
from rgate.core.config import Config
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.containers import Container
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.left_out import LeftOutLabel, doubts
from rgate.core.recording import Recording, read
from rgate.core.selection import unavailable_view, views_of
from rgate.core.tracing import tracer_of
from rgate.discovery.daemon import which_daemon
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.look import containers_of
from rgate.discovery.own_container import own_container_id
from rgate.discovery.source import SourceError


@dataclass(frozen=True, slots=True)
class Looked:
    """What is there. *containers*: None where Docker does not answer; *knowledge* says why.

    *left_out*: of labels whose values were left out of a snapshot the keys, by the container's id.
    """

    containers: tuple[Container, ...] | None
    host: HostView
    knowledge: tuple[Knowledge, ...]
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def gateway(self, config: Config, *, can_tunnel: bool = True, doubtful: bool = False) -> Gateway:
        """Return a gateway with *config*, as one that starts now would have it.

        Raises LeftOutLabel where the view of a backend would rest on a label that was left out; unless it
        may be *doubtful*.
        """
        if not doubtful:
            for doubt in self.doubts(config).values():
                raise doubt
        if self.containers is None:
            error = self.knowledge[0].error
            views = {backend.name: unavailable_view(backend, error) for backend in config.backends}
        else:
            views = views_of(config.backends, self.containers, self.host)
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
        return doubts(config.backends, self.containers or (), self.host, self.left_out)


def look(options: Namespace) -> Looked:
    """Return what the snapshot holds that *options* names, or what Docker says.

    Raises ConfigErrors where the snapshot cannot be read.
    """
    if options.snapshot is not None:
        return looked_at_recording(load_recording(options.snapshot), time.time())
    return look_at_docker()


def own_id() -> str:
    """Return how the id begins of the container that this process runs in; "" for none."""
    return own_container_id()


@told_if_slow("asking Docker for its containers")
def look_at_docker() -> Looked:
    """Return what Docker says now; without containers where it does not answer within some seconds."""
    daemon = which_daemon()
    source = DockerSource(daemon)
    try:
        version = source.ping()
        containers = containers_of(source)
    except SourceError as error:
        away = Knowledge(docker=Connection.NEVER, since=time.time(), error=str(error))
        return Looked(None, HostView(daemon.published_host), (away,))
    finally:
        source.close()
    host = HostView(daemon.published_host, own_networks(own_container_id(), containers))
    return Looked(containers, host, (_listed(Knowledge(version=version, since=time.time()), 0.0),))


def looked_at_recording(recording: Recording, now: float) -> Looked:
    """Return what *recording* holds. *now*: in Unix seconds."""
    containers: dict[str, Container] = {}
    left_out: dict[str, frozenset[str]] = {}
    for source in recording.sources:
        for container in source.containers:
            if (
                container.id not in containers
            ):  # seen through two sources it is one: the first says what of it
                containers[container.id] = container
                left_out[container.id] = source.left_out.get(container.id, frozenset())
    knowledge = tuple(
        _listed(Knowledge(source.name, since=recording.taken, version=source.version), now - recording.taken)
        for source in recording.sources
    )
    host = recording.sources[0].host if recording.sources else HostView()
    return Looked(tuple(containers.values()), host, knowledge, left_out)


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
