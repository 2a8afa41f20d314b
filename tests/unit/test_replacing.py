"""Where two rgates meet, each looks at who the other is, and at what it gives (behaviour 8)."""

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rgate.cli import succession
from rgate.cli.listening import shown
from rgate.cli.starter import Starter
from rgate.cli.stop import Stop
from rgate.cli.succession import Place, Predecessor, Succession, predecessor
from rgate.core.succession import Listeners, Message, What, packet

pytestmark = pytest.mark.clause("8.restart.checked")


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where they meet: not in pytest's own directory, whose path may be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="rgate-") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        monkeypatch.setattr(succession, "_ANSWER_WITHIN_S", 0.2)
        yield Path(directory)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@contextlib.contextmanager
def serving(listeners: Sequence[socket.socket]) -> Iterator[threading.Event]:
    """An rgate that listens there; the event: it was replaced."""
    one, replaced = Succession(listeners, None, Starter()), threading.Event()
    one.begin()
    one.answer_beside(replaced.set)
    try:
        yield replaced
    finally:
        one.end()


Odd = Callable[[socket.socket], object]


@contextlib.contextmanager
def odd(addresses: Sequence[str], *answers: Odd) -> Iterator[None]:
    """Somebody of our user who listens where an rgate is asked, and answers one after the other so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as place:
        path = succession._place(addresses)
        path.unlink(missing_ok=True)
        place.bind(str(path))
        place.listen()

        def answer_all() -> None:
            for answer in answers:
                connection, _ = place.accept()
                with connection:
                    connection.recv(4096)
                    answer(connection)

        thread = threading.Thread(target=answer_all)
        thread.start()
        yield
        thread.join(10)
    assert not thread.is_alive()


def says(data: bytes) -> Odd:
    return lambda connection: connection.send(data)


def gives(number: int, *sockets: socket.socket) -> Odd:
    def give(connection: socket.socket) -> None:
        connection.send(packet(Message(What.HERE, number)))
        socket.send_fds(connection, [b"\0"], [one.fileno() for one in sockets])

    return give


def is_open(listener: socket.socket) -> bool:
    with socket.create_connection(listener.getsockname(), 5), listener.accept()[0]:
        return True


@pytest.mark.clause("8.restart.replace")
def test_its_listeners_are_given_and_it_goes_on_until_it_is_told_to_go(listener: socket.socket) -> None:
    with listener.dup() as same, serving([listener, same]) as replaced:
        for _ in range(2):  # who asks and goes away changes nothing
            with contextlib.closing(Predecessor([shown(listener)])) as old:
                assert list(map(shown, old.listeners)) == [shown(listener)]  # once, though there are two
        old = Predecessor([shown(listener)])
        assert not replaced.is_set()
        old.leave()
        assert replaced.wait(10)
        listener.close()
        assert is_open(old.listeners[0])
        old.close()


@pytest.mark.clause("8.restart.replace")
def test_more_listeners_than_go_with_one_packet_are_all_given() -> None:
    with contextlib.ExitStack() as opened:
        listeners = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(300)]
        with serving(listeners):
            old = opened.enter_context(contextlib.closing(Predecessor(sorted(map(shown, listeners)))))
            assert list(map(shown, old.listeners)) == list(map(shown, listeners))


def test_where_nobody_is_there_is_none(listener: socket.socket) -> None:
    assert predecessor([shown(listener)]) is None
    with serving([listener]):
        assert predecessor(["127.0.0.1:1"]) is None
    assert predecessor([shown(listener)]) is None


def test_what_one_that_was_killed_left_is_no_hindrance(listener: socket.socket) -> None:
    Place([listener]).socket.close()
    assert predecessor([shown(listener)]) is None
    with serving([listener]), contextlib.closing(Predecessor([shown(listener)])):
        pass


def test_one_that_ends_leaves_the_place_of_its_successor_alone(listener: socket.socket) -> None:
    first = Place([listener])
    with serving([listener]):
        first.close(is_succeeded=False)
        Predecessor([shown(listener)]).close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda _: None, "ended in the middle"),
        (says(b"hello"), "said what no rgate says"),
        (says(b'{"rgate": 2}'), "is of another version"),
        (says(packet(Message(What.LEAVING))), "said what was not asked"),
        (says(packet(Message(What.HERE, 1))), "gave fewer listeners than it has"),
        (says(packet(Message(What.HERE, 0))), "listens on nothing and not on "),
        (lambda connection: connection.recv(1), "does not answer"),
    ],
    ids=["ends", "stranger", "version", "other", "fewer", "none", "silent"],
)
def test_one_that_answers_oddly_is_not_replaced(listener: socket.socket, answer: Odd, why: str) -> None:
    address = shown(listener)
    with odd([address], answer), pytest.raises(Stop) as stopped:
        predecessor([address])
    assert stopped.value.message.startswith(
        f"the rgate that listens on {address} (process {os.getpid()}) {why}"
    )
    assert stopped.value.message.endswith("; it was not replaced")


def test_listeners_that_listen_elsewhere_or_not_at_all_are_not_taken(listener: socket.socket) -> None:
    address = shown(listener)
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.socket() as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        Path("/dev/null").open() as file,
        socket.socket(fileno=os.dup(listener.fileno())) as same,
    ):
        silent.bind(("127.0.0.1", 0))
        for wrong in (other, silent, datagrams, file):
            with odd([address], gives(2, same, wrong)), pytest.raises(Stop, match="it was not replaced"):  # type: ignore[arg-type]
                predecessor([address])
        with odd([address], gives(1, same, same)), pytest.raises(Stop, match="it was not replaced"):
            predecessor([address])
    assert is_open(listener)


def test_one_that_falls_silent_or_was_replaced_by_another_is_not_told_to_go(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = shown(listener)
    with odd([address], gives(1, listener), lambda connection: connection.recv(1)):
        old = Predecessor([address])
        with pytest.raises(Stop, match="does not answer; it was not replaced"):
            old.leave()
        old.close()
    with serving([listener]) as replaced:
        old = Predecessor([address])
        monkeypatch.setattr(old, "pid", 1)
        with pytest.raises(Stop, match="was replaced by another meanwhile"):
            old.leave()
        old.close()
        assert not replaced.is_set()


def test_one_that_died_meanwhile_needs_not_be_told(listener: socket.socket) -> None:
    with serving([listener]):
        old = Predecessor([shown(listener)])
    old.leave()
    old.close()


def test_one_of_another_user_is_not_replaced(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving([listener]) as replaced:
        address, user = shown(listener), os.geteuid()
        with monkeypatch.context() as other:
            # As which this thread's user would see it: SO_PEERCRED is asked for real.
            other.setattr(succession, "is_ours", lambda _: False)
            with pytest.raises(
                Stop, match=f"is of user {user}; start this one as that user; it was not replaced"
            ):
                predecessor([address])
        assert not replaced.is_set()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_directory_that_others_may_enter_is_not_used(
    listener: socket.socket, directory: Path, mode: int
) -> None:
    place = directory / f"rgate.{os.geteuid()}"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(Stop, match=r"cannot look for an rgate to replace: .* that only this user may enter"):
        predecessor([shown(listener)])
    with serving([listener]):
        assert list(place.iterdir()) == []
    place.rmdir()
    place.symlink_to("/tmp")
    with pytest.raises(Stop, match="that only this user may enter"):
        predecessor([shown(listener)])


def test_a_place_whose_path_is_too_long_is_told_of_as_that(
    listener: socket.socket, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / ("x" * 100)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory / ("x" * 100)))
    with pytest.raises(Stop, match=r"cannot ask for an rgate to replace at .* let TMPDIR name a directory"):
        predecessor([shown(listener)])


@pytest.mark.clause("8.restart.replace")
@pytest.mark.parametrize(
    ("asked", "listeners_then"),
    [
        ((), Listeners.CLOSED),
        ((What.LISTENERS,), Listeners.HELD),
        ((What.LISTENERS, What.LEAVE), Listeners.SUCCEEDED),
    ],
    ids=["never asked", "asked", "replaced"],
)
def test_one_that_ends_knows_who_else_may_accept(
    listener: socket.socket, directory: Path, asked: tuple[What, ...], listeners_then: Listeners
) -> None:
    one, replaced = Succession([listener], None, Starter()), threading.Event()
    one.begin()
    one.answer_beside(replaced.set)
    if What.LISTENERS in asked:
        with contextlib.closing(Predecessor([shown(listener)])) as old:
            if What.LEAVE in asked:
                old.leave()
                assert replaced.wait(10)
    assert one.end() is listeners_then
    # Whoever succeeds puts its own under this name, now or a moment ago.
    left = [file for file in directory.rglob("*") if file.is_socket()]
    assert len(left) == (listeners_then is Listeners.SUCCEEDED)


@pytest.mark.clause("8.restart.replace")
def test_one_takes_over_until_it_has(listener: socket.socket) -> None:
    with serving([listener]), contextlib.closing(Predecessor([shown(listener)])) as old:
        new = Succession(old.listeners, old, Starter())
        assert new.takes_over
        new.begin()
        assert not new.takes_over  # a worker that starts later has nobody who serves in its place
        assert new.end() is Listeners.HELD


def test_one_whose_listeners_came_from_another_leaves_them_open(
    listener: socket.socket,
) -> None:
    given = Starter()
    given.listeners.append(listener)
    assert Succession([listener], None, given).end() is Listeners.HELD
    with serving([listener]), contextlib.closing(Predecessor([shown(listener)])) as old:
        assert Succession(old.listeners, old, Starter()).end() is Listeners.HELD
    assert Succession([listener], None, Starter()).end() is Listeners.CLOSED


@pytest.mark.clause("8.restart.replace")
def test_who_asks_as_it_ends_gets_nothing(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place([listener])
    talk, is_heard = place._talk, threading.Event()

    def heard(connection: socket.socket) -> int | None:
        is_heard.set()
        return talk(connection)

    monkeypatch.setattr(place, "_talk", heard)
    answered = threading.Thread(target=place.answer)
    answered.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.connect(str(place._path))
        assert is_heard.wait(10)
        place.close(is_succeeded=False)
        asking.send(packet(Message(What.LISTENERS)))
        assert asking.recv(100) == b""
    answered.join(10)
    assert not place.gave
