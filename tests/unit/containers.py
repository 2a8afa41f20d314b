"""Hypothesis strategies for containers and backends, with small alphabets that collide."""

from collections.abc import Iterable

from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.config import AddressKind, Backend
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.seen import HERE, Seen


def seen(containers: Iterable[Container], host: HostView = HERE) -> tuple[Seen, ...]:
    """Return what the one source shows that there is."""
    return (Seen(tuple(containers), host),)


def unseen(error: str) -> tuple[Seen, ...]:
    """Return what the one source shows that has not answered yet."""
    return (Seen(None, error=error),)


PORTS = st.sampled_from([80, 443, 8000])
IDS = ("a" * 64, "b" * 64, "c" * 64)
# Of these the values of the last two are left out, and of others where they hold a URL with a user.
KEYS = ("app", "env", "rgate.port", "db.password", "com.docker.compose.project.working_dir")
VALUES = ("x", "y", "80", "", "https://u:p@h")

PUBLISHED = st.builds(
    PublishedPort, PORTS, st.sampled_from(["0.0.0.0", "127.0.0.1", "10.1.2.3", "::"]), st.sampled_from([0, 9])
)
ATTACHMENTS = st.builds(
    lambda number, ip: Attachment(f"net-{number}", f"id-{number}", ip),
    st.integers(1, 2),
    st.sampled_from(["", "172.18.0.2", "fd00::2"]),
)
NETWORK_MODES = st.sampled_from(["bridge", "host", "none", *(f"container:{one}" for one in IDS)])


def containers(
    keys: tuple[str, ...] = KEYS, values: tuple[str, ...] = VALUES, *, most: int = 3
) -> st.SearchStrategy[list[Container]]:
    """Lists of containers with distinct ids, sorted by name and id, as a recording has them."""
    one = st.builds(
        Container,
        id=st.sampled_from(IDS),
        name=st.sampled_from(["one", "two"]),
        labels=st.dictionaries(st.sampled_from(keys), st.sampled_from(values)),
        state=st.sampled_from([State.RUNNING, State.RUNNING, State.EXITED, State.PAUSED]),
        health=st.sampled_from(Health),
        stopping=st.booleans(),
        published=st.lists(PUBLISHED, max_size=2).map(tuple),
        exposed=st.lists(PORTS, max_size=2, unique=True).map(tuple),
        attachments=st.lists(ATTACHMENTS, max_size=2).map(tuple),
        network_mode=NETWORK_MODES,
    )
    several = st.lists(one, max_size=most, unique_by=lambda container: container.id)
    return several.map(lambda found: sorted(found, key=lambda container: (container.name, container.id)))


def backends(
    keys: tuple[str, ...] = KEYS, values: tuple[str, ...] = VALUES
) -> st.SearchStrategy[tuple[Backend, ...]]:
    """One or two backends that are found by labels."""
    wanted = st.dictionaries(st.sampled_from(keys), st.sampled_from(values), min_size=1, max_size=2)
    one = st.builds(
        lambda labels, port, address: Backend("b", tuple(labels.items()), port=port, address=address),
        wanted,
        st.none() | PORTS,
        st.sampled_from(AddressKind),
    )
    return st.lists(one, min_size=1, max_size=2).map(tuple)


HOSTS = st.builds(
    HostView,
    st.sampled_from(["", "10.9.8.7"]),
    st.none() | st.frozensets(st.sampled_from(["id-1", "id-2"])),
)
