"""Two Dockers, each on a machine of its own, under one gateway: what befalls one is nothing to the other."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from tests.certificates import Authority
from tests.chaos.steady import Steady
from tests.contract.sources.between import Between, between
from tests.contract.sources.daemons import serve_tls
from tests.integration.containers import IMAGE, short_id
from tests.integration.dockerds import Dockerd, running
from tests.integration.gateway import Gateway, wait_until
from tests.integration.gateway import running as running_gateway

pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.daemons,
    pytest.mark.slow,
    pytest.mark.any_engine,
]


@dataclass
class Two:
    """*odd*: what things befall, asked by TLS; *late*: what stands before it for those who ask by that."""

    odd: Dockerd
    well: Dockerd
    late: Between
    tls: Mapping[str, str]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    authority, directory = Authority(), tmp_path_factory.mktemp("tls")
    with contextlib.closing(Dockerd("--live-restore")) as odd, running() as well:
        serve_tls(odd, authority.issue(directory / "server", odd.address))
        odd.load()
        files = authority.issue(directory / "client")
        tls = {name: str(files / f"{name}.pem") for name in ("ca", "cert", "key")}
        with between(odd.host.removeprefix("unix://")) as late:
            yield Two(odd, well, late, tls)


@pytest.fixture
def start(two: Two) -> Iterator[Callable[[Dockerd, str], Container]]:
    """Start a container on one of them, labelled `app=…`."""
    with contextlib.ExitStack() as stack:
        clients = {one.name: stack.enter_context(one.client()) for one in (two.odd, two.well)}
        made: list[Container] = []

        def begin(where: Dockerd, app: str) -> Container:
            run: Any = clients[where.name].containers.run
            made.append(run(IMAGE, labels={"app": app}, ports={"8000/tcp": None}, detach=True))
            return made[-1]

        yield begin
        for container in made:
            container.remove(force=True)


def config(two: Two, odd: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "routes": [{"path_prefix": f"/{app}", "backend": app} for app in ("odd", "well", "moves")],
        "default_response": {"body": "This is not reachable", "status_code": 403},
        "backends": [{"name": app, "match_labels": [f"app={app}"]} for app in ("odd", "well", "moves")],
        "sources": [
            {"name": "odd", "address_host": two.odd.address, **odd},
            {"name": "well", "docker": two.well.host, "address_host": two.well.address},
        ],
    }


def by_tls(two: Two) -> dict[str, Any]:
    return {"docker": f"tcp://{two.odd.address}:2376", "tls": dict(two.tls)}


def kill(two: Two) -> Callable[[], object]:
    two.odd.kill()
    return two.odd.start


def freeze(two: Two) -> Callable[[], object]:
    two.odd.freeze()
    return two.odd.thaw


def cut(two: Two) -> Callable[[], object]:
    two.odd.cut()
    return two.odd.mend


def slow(two: Two) -> Callable[[], object]:
    def mend() -> None:
        two.late.byte_every_s = 0.0

    two.late.byte_every_s = 0.2
    two.late.cut()
    return mend


def standing(gateway: Gateway) -> dict[str, str]:
    """How it stands with each source."""
    return {one["source"]: one["docker"] for one in gateway.get("/_rgate/backends").json()["knowledge"]}


@pytest.mark.clause("12.away.keeps", "12.away.untouched")
@pytest.mark.parametrize("befall", [kill, freeze, cut, slow])
def test_what_befalls_one_is_nothing_to_the_other(
    two: Two,
    start: Callable[[Dockerd, str], Container],
    tmp_path: Path,
    befall: Callable[[Two], Callable[[], object]],
) -> None:
    first, far = start(two.well, "well"), start(two.odd, "odd")
    odd = {"docker": two.late.host} if befall is slow else by_tls(two)
    with running_gateway(tmp_path, config(two, odd)) as gateway:
        for path in ("/well", "/odd"):
            wait_until(lambda path=path: gateway.get(path).status, lambda s: s == 200, within_s=20)  # type: ignore[misc]
        steady = Steady(gateway.port, rate=60, path="/well")
        with steady.asking() as seen:
            mend = befall(two)
            try:
                wait_until(lambda: standing(gateway)["odd"], lambda s: s == "away", within_s=30)
                second = start(two.well, "well")  # its events are followed meanwhile
                # Its application starts first, and who refuses meanwhile is left out for a while.
                steady.wait_until_answered_by(short_id(second))
                assert standing(gateway)["well"] == "connected"
                if befall is not cut:  # whose containers are out of reach
                    assert gateway.get("/odd").container == short_id(far)
                steady.wait_for(120)
            finally:
                mend()
            wait_until(lambda: standing(gateway)["odd"], lambda s: s == "connected", within_s=30)
            another = start(two.odd, "odd")
            wait_until(
                lambda: {gateway.get("/odd").container for _ in range(8)},
                lambda found: found == {short_id(far), short_id(another)},
                within_s=20,
            )
        assert not seen.lost_of("GET"), (seen.lost, seen.examples)
        assert seen.reasons("POST") <= {"503 closed_early"}, (seen.lost, seen.examples)
        assert set(seen.by_container) == {short_id(first), short_id(second)}


@pytest.mark.clause("12.sources.all")
def test_a_container_that_moves_is_followed(
    two: Two, start: Callable[[Dockerd, str], Container], tmp_path: Path
) -> None:
    old = start(two.odd, "moves")
    with running_gateway(tmp_path, config(two, by_tls(two))) as gateway:
        wait_until(lambda: gateway.get("/moves").status, lambda status: status == 200, within_s=20)
        steady = Steady(gateway.port, rate=60, path="/moves")
        with steady.asking() as seen:
            new = start(two.well, "moves")
            steady.wait_until_answered_by(short_id(new))
            old.stop(timeout=5)
            steady.wait_until_left(short_id(old))
        assert not seen.lost_of("GET"), (seen.lost, seen.examples)
        assert seen.reasons("POST") <= {"503 closed_early"}, (seen.lost, seen.examples)
