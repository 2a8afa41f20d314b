"""Is it well, and if not, why: one level, a headline and findings (behaviour 10)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.candidates import Address, BackendView, Candidate, ContainerView
from rgate.core.config import Backend, Config, Route
from rgate.core.explain import Level
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.lately import Cause, Lately
from rgate.core.near_misses import MissingLabel, NearMiss
from rgate.core.reasons import LeftOut, Reason
from rgate.core.verdict import (
    RISES_AFTER_S,
    Held,
    Situation,
    Standing,
    Verdict,
    freshness,
    settled,
    verdict,
)

HERE = Knowledge("docker", Connection.CONNECTED, 0.0, 12.0, Events.LIVE, 41, "27.3.1")
AWAY = Knowledge("docker", Connection.AWAY, 840.0, 400.0, Events.BROKEN, 41, error="connection refused")
NEVER = Knowledge("docker", Connection.NEVER, 0.0, None, Events.BROKEN, 0, error="there is no socket")


def backend(name: str, urls: tuple[str, ...] = ()) -> Backend:
    return Backend(name, urls=urls) if urls else Backend(name, match_labels=((("app", name)),))


def fine(name: str, *containers: str) -> BackendView:
    candidates = tuple(Candidate(c, c, Address("127.0.0.1", 1)) for c in containers or (f"{name}-1",))
    return BackendView(name, candidates)


def near(name: str) -> NearMiss:
    return NearMiss(
        name, 1, 2, (MissingLabel("env", "prod", "production"),), f"{name} has 1 of 2 labels: env=prod"
    )


def lacking(name: str, *near_misses: NearMiss) -> BackendView:
    return BackendView(name, (), Reason.NO_CONTAINER, f"No running container for {name}.", (), near_misses)


def lately(
    requests: int = 1000, errors: int = 0, causes: Mapping[Cause, int] | None = None, ever: int | None = None
) -> Lately:
    return Lately(requests, errors, causes or {}, requests if ever is None else ever)


def situation(*views: BackendView, **more: Any) -> Situation:
    config = Config(
        routes=tuple(Route(f"/{view.name}", view.name) for view in views),
        backends=tuple(backend(view.name) for view in views),
    )
    values: dict[str, Any] = {
        "config": config,
        "views": {view.name: view for view in views},
        "knowledge": (HERE,),
        "lately": lately(),
        "now": 1000.0,
        "clock": lambda at: f"<{at:g}>",
        "url": "http://127.0.0.1:8080",
    }
    return Situation(**(values | more))


def told(*views: BackendView, **more: Any) -> Verdict:
    return verdict(situation(*views, **more))[0]


CLOSED = Cause(Reason.CLOSED_EARLY, "orders-2")


@pytest.mark.clause(
    "10.verdict.stale",
    "10.verdict.down",
    "10.verdict.degraded",
    "10.verdict.waiting",
    "10.verdict.well",
    "10.verdict.errors",
)
@pytest.mark.parametrize(
    ("views", "more", "standing", "headline"),
    [
        (
            (fine("a"), fine("b")),
            {},
            Standing.WELL,
            "All 2 backends have containers; 0 % errors in the last 15 min.",
        ),
        (
            (fine("a"), fine("b")),
            {"lately": lately(0)},
            Standing.WAITING,
            "All 2 backends have containers; nothing was asked yet.",
        ),
        (
            (fine("a"),),
            {"lately": lately(0, ever=5)},
            Standing.WELL,
            "The backend has containers; nothing was asked in the last 15 min.",
        ),
        (
            (fine("a"), lacking("b")),
            {},
            Standing.DEGRADED,
            "1 of 2 backends have containers, `b` has none; 0 % errors in the last 15 min.",
        ),
        (
            (lacking("a"), lacking("b")),
            {"lately": lately(100, 100, {Cause(Reason.NO_CONTAINER, ""): 100})},
            Standing.DOWN,
            "None of 2 backends has a container; "
            "100 % errors in the last 15 min, all 100 are `no_container`.",
        ),
        (
            (fine("a"), fine("orders")),
            {"lately": lately(10000, 39, {CLOSED: 33, Cause(Reason.TIMEOUT, "x"): 2})},
            Standing.DEGRADED,
            "All 2 backends have containers; "
            "0.4 % errors in the last 15 min, 33 of 39 are `closed_early` from `orders-2`.",
        ),
        (
            (fine("a"), fine("b")),
            {"lately": lately(10000, 8, {CLOSED: 4})},
            Standing.WELL,
            "All 2 backends have containers; 0.08 % errors in the last 15 min.",
        ),
        (
            (fine("a"), fine("b")),
            {
                "lately": lately(
                    100, 12, {CLOSED: 5, Cause(Reason.TIMEOUT, "x"): 6, Cause(Reason.TIMEOUT, "y"): 1}
                )
            },
            Standing.DEGRADED,
            "All 2 backends have containers; 12 % errors in the last 15 min, 6 of 12 are `timeout` from `x`.",
        ),
        (
            (fine("a"), lacking("b")),
            {"knowledge": (AWAY,)},
            Standing.STALE,
            "Docker does not answer since <840>, containers are as of then; 0 % errors in the last 15 min.",
        ),
        (
            (BackendView("a", (), Reason.DOCKER_UNAVAILABLE, "Docker has not answered."),),
            {"knowledge": (NEVER,), "lately": lately(0)},
            Standing.STALE,
            "Docker has not answered since rgate started; nothing was asked yet.",
        ),
        (
            (fine("a"),),
            {"knowledge": (HERE, replace(AWAY, source="far"))},
            Standing.DEGRADED,
            "Docker `far` does not answer; the backend has containers; 0 % errors in the last 15 min.",
        ),
    ],
)
def test_the_first_rule_that_holds_gives_the_level(
    views: tuple[BackendView, ...], more: dict[str, Any], standing: Standing, headline: str
) -> None:
    found = told(*views, **more)
    assert (found.standing, found.headline) == (standing, headline)


@pytest.mark.clause("10.verdict.stale")
def test_where_no_backend_has_labels_docker_is_not_asked_for() -> None:
    fixed = Config(routes=(), backends=(backend("a", ("http://127.0.0.1:1",)),))
    assert told(fine("a"), config=fixed, knowledge=(NEVER,)).standing is Standing.WELL


def test_nothing_configured_is_no_trouble() -> None:
    assert told().headline == "No backend is configured; 0 % errors in the last 15 min."
    assert told().standing is Standing.WELL


@pytest.mark.clause("10.verdict.findings", "10.verdict.do")
def test_a_near_miss_is_the_finding_where_nobody_is_there() -> None:
    (finding,) = told(fine("a"), lacking("orders", near("orders-1"))).findings
    assert finding.level is Level.BAD
    assert finding.text == "`orders` has no container: orders-1: `env=prod`, wanted `env=production`."
    assert finding.command == "rgate explain /orders --gateway http://127.0.0.1:8080"
    assert finding.show is not None
    assert (finding.show.reason, finding.show.backend) == ("no_container", "orders")


def test_a_label_under_another_key_is_told_as_it_is() -> None:
    missing = MissingLabel("env", "environment=production", "production")
    detail = "orders-1 has 1 of 2 labels: environment=production, wanted env=production"
    (finding,) = told(fine("a"), lacking("orders", NearMiss("orders-1", 1, 2, (missing,), detail))).findings
    assert finding.text.endswith(": orders-1: `environment=production`, wanted `env=production`.")


@pytest.mark.clause("10.verdict.findings")
def test_backends_that_lack_the_same_are_one_finding() -> None:
    (finding,) = told(fine("a"), lacking("b", near("x")), lacking("c", near("x"))).findings
    assert finding.text.startswith("`b`, `c` have no container: x: `env=prod`")


def sick(name: str) -> BackendView:
    detail = f"{name}-1 is unhealthy: `docker inspect {name}-1` shows its last checks."
    return BackendView(name, (), Reason.UNHEALTHY, detail)


@pytest.mark.clause("10.verdict.findings")
def test_of_backends_that_lack_something_else_each_is_told_by_itself() -> None:
    found = told(fine("a"), lacking("b"), lacking("c"), sick("d"), sick("e")).findings
    assert [finding.text for finding in found] == [
        "`b` has no container: No running container for b.",
        "`c` has no container: No running container for c.",
        f"`d` has no container: {sick('d').detail}",
        f"`e` has no container: {sick('e').detail}",
    ]


@pytest.mark.clause("10.verdict.findings")
@pytest.mark.parametrize(
    ("views", "more", "begin"),
    [
        ((lacking("b"),), {"causes": {Cause(Reason.NO_CONTAINER, ""): 40}}, ["`b` has no container"]),
        # It has one again, so the cause is told by itself.
        ((fine("b"),), {"causes": {Cause(Reason.NO_CONTAINER, ""): 40}}, ["No running container"]),
        ((sick("b"),), {"causes": {CLOSED: 40}}, ["`b` has no container", "`orders-2`: The"]),
        (
            (fine("b"),),
            {"causes": {Cause(Reason.DOCKER_UNAVAILABLE, ""): 40}, "knowledge": (AWAY,)},
            ["Docker does not answer"],
        ),
        ((fine("b"),), {"causes": {Cause(Reason.DOCKER_UNAVAILABLE, ""): 40}}, ["Docker had not answered"]),
    ],
)
def test_what_is_so_now_is_not_told_once_more_as_the_cause_of_errors(
    views: tuple[BackendView, ...], more: dict[str, Any], begin: list[str]
) -> None:
    recent = {"lately": lately(100, 40, more.pop("causes"))}
    found = told(fine("a"), *views, **recent, **more).findings
    assert [text.text.startswith(start) for text, start in zip(found, begin, strict=True)] == [True] * len(
        found
    )


@pytest.mark.clause("10.verdict.do")
@pytest.mark.parametrize(
    ("error", "text", "do", "command"),
    [
        (
            "nobody listens at unix:///run/docker.sock: start Docker, or check DOCKER_HOST",
            "Docker does not answer (nobody listens at unix:///run/docker.sock): ",
            "Start Docker, or check DOCKER_HOST; rgate keeps trying.",
            "systemctl status docker",
        ),
        (
            "nobody listens at tcp://10.0.0.5:2375: start Docker, or check DOCKER_HOST",
            "Docker does not answer (nobody listens at tcp://10.0.0.5:2375): ",
            "Start Docker, or check DOCKER_HOST; rgate keeps trying.",
            "docker version",
        ),
        (
            "rgate may not use unix:///run/docker.sock: run it as a user who may",
            "Docker does not answer (rgate may not use unix:///run/docker.sock): ",
            "Run it as a user who may; rgate keeps trying.",
            "docker version",
        ),
        ("", "Docker does not answer: ", "Start it, or see why it stopped; rgate keeps trying.", ""),
    ],
)
def test_what_to_do_about_docker_is_what_its_error_says(error: str, text: str, do: str, command: str) -> None:
    (finding,) = told(fine("a"), knowledge=(replace(AWAY, error=error),)).findings
    assert finding.text == f"{text}containers last known stay in use; what came or went since is unknown."
    assert finding.do == do
    assert finding.command == (command or "docker version")


@pytest.mark.clause("10.verdict.do")
def test_what_is_behind_a_fixed_address_has_no_log_of_docker() -> None:
    address = Candidate("10.0.0.5:80", "", Address("10.0.0.5", 80))
    causes = {"lately": lately(100, 40, {Cause(Reason.CONNECT_FAILED, address.name): 40})}
    (finding,) = told(BackendView("shop", (address,)), **causes).findings
    assert finding.command == "curl --verbose http://10.0.0.5:80/"


@pytest.mark.clause("10.verdict.do")
def test_a_command_asks_the_gateway_that_tells_it_as_it_was_started() -> None:
    there = {"program": "python rgate.py", "url": "http://127.0.0.1:8081"}
    (finding,) = told(fine("a"), lacking("b c"), **there).findings
    assert finding.command == "python rgate.py explain '/b c' --gateway http://127.0.0.1:8081"
    (finding,) = told(fine("a"), lacking("b"), url="").findings
    assert finding.command == "rgate explain /b"


@pytest.mark.clause("10.verdict.holds")
def test_a_level_that_holds_although_it_is_better_now_says_so() -> None:
    held = Held(Standing.DOWN, 990.0)
    found, _ = verdict(situation(fine("a")), held)
    assert found.standing is Standing.DOWN
    assert found.headline == (
        "The backend has containers; 0 % errors in the last 15 min. "
        "It is better now, and told as Well once that has held for 60 s."
    )


@pytest.mark.clause("10.verdict.do")
def test_the_leading_cause_has_its_command() -> None:
    causes = {"lately": lately(100, 40, {CLOSED: 40})}
    (finding,) = told(fine("orders", "orders-1", "orders-2"), **causes).findings
    assert finding.command == "docker logs --since 15m orders-2"
    assert finding.text.startswith("`orders-2`: The container accepted")
    assert "`orders` has 1 more" in finding.text
    assert finding.show is not None
    assert (finding.show.reason, finding.show.container) == ("closed_early", "orders-2")


@pytest.mark.clause("10.verdict.findings")
def test_findings_stand_in_their_order() -> None:
    sick = ContainerView("c-2", "2", "running", "unhealthy", None, LeftOut.UNHEALTHY, "c-2 is unhealthy")
    c = BackendView("c", fine("c").candidates, containers=(sick,), near_misses=(near("c-3"),))
    found = told(
        c, lacking("b"), fine("a"), knowledge=(AWAY,), lately=lately(100, 40, {CLOSED: 40}), now=1000.0
    ).findings
    assert [finding.text.partition(" ")[0] for finding in found] == [
        "Docker",
        "`b`",
        "`orders-2`:",
        "c-2",
        "`c-3`",
    ]
    assert found[0].text.startswith("Docker does not answer (connection refused): containers last known stay")


def out(name: str, left_out: LeftOut, detail: str) -> ContainerView:
    state = "exited" if left_out is LeftOut.NOT_RUNNING else "running"
    return ContainerView(name, name, state, "none", None, left_out, detail)


@pytest.mark.clause("10.verdict.findings", "10.verdict.do")
def test_a_container_that_ended_is_a_finding_behind_those_that_run_and_are_no_use() -> None:
    ended = [out(f"c-{n}", LeftOut.NOT_RUNNING, f"c-{n} is exited: start it") for n in range(7)]
    lost = out("c-8", LeftOut.NO_ADDRESS, "c-8 has no port")
    leaving = out("c-9", LeftOut.STOPPING, "c-9 is being stopped")
    found = told(BackendView("c", fine("c", "c-10").candidates, containers=(leaving, *ended, lost))).findings
    assert [finding.text for finding in found[:2]] == [
        "c-8 has no port. `c` goes on with 1.",
        "c-0 is exited: start it. `c` goes on with 1.",
    ]
    assert (found[1].level, found[1].command) == (Level.INFO, "docker logs --tail 50 c-0")
    assert len(found) == 5


@pytest.mark.clause("12.names.remedies", "10.verdict.do")
def test_a_task_that_ended_has_no_container_of_its_name_so_its_service_is_asked() -> None:
    ended = out("sw/my.web.2", LeftOut.NOT_RUNNING, "sw/my.web.2 is exited")
    view = replace(fine("c"), containers=(replace(ended, is_task=True),))
    (finding,) = told(view).findings
    assert finding.command == "docker service ps --no-trunc my.web"
    assert finding.do == "It is on the Docker `sw`."


@pytest.mark.clause("10.verdict.waiting", "10.verdict.do")
def test_what_was_never_asked_is_told_how_to_be() -> None:
    found = told(fine("a"), fine("b"), fine("c"), lately=lately(0)).findings
    assert [finding.command for finding in found] == [
        "curl -i http://127.0.0.1:8080/a",
        "curl -i http://127.0.0.1:8080/b",
        "curl -i http://127.0.0.1:8080/elsewhere",
    ]


def test_a_name_cannot_end_what_is_shown_as_code() -> None:
    assert "`a\u02cb<b`" in told(fine("x"), lacking("a`<b")).headline


@pytest.mark.clause("10.verdict.holds")
def test_a_level_sinks_at_once_and_rises_late() -> None:
    holds = settled(Standing.WELL, None, 0.0)
    holds = settled(Standing.DOWN, holds, 1.0)
    assert holds == Held(Standing.DOWN)
    holds = settled(Standing.WELL, holds, 10.0)
    assert holds == Held(Standing.DOWN, 10.0)
    assert settled(Standing.DOWN, holds, 20.0) == Held(Standing.DOWN)  # it begins anew
    assert settled(Standing.WELL, holds, 10.0 + RISES_AFTER_S) == Held(Standing.WELL)
    holds = settled(Standing.WELL, Held(Standing.DOWN, 1e9), 30.0)
    assert holds == Held(Standing.DOWN, 30.0), "a clock that is set back makes it begin anew, and no later"
    assert settled(Standing.WELL, Held(Standing.STALE), 1.0) == Held(Standing.WELL)
    assert settled(Standing.STALE, Held(Standing.WAITING), 1.0) == Held(Standing.STALE)
    assert settled(Standing.STALE, Held(Standing.DEGRADED), 1.0) == Held(Standing.STALE)


@given(st.lists(st.tuples(st.sampled_from(Standing), st.integers(0, 40)), min_size=1, max_size=30))
def test_a_better_level_than_was_told_is_told_only_after_a_minute_of_it(
    steps: list[tuple[Standing, int]],
) -> None:
    rank = {standing: number for number, standing in enumerate(Standing)}
    late = (Standing.DOWN, Standing.DEGRADED)
    now, held, since_better = 0.0, None, 0.0
    for standing, wait_s in steps:
        now += wait_s
        before, held = held, settled(standing, held, now)
        if before is None or before.standing not in late or rank[standing] <= rank[before.standing]:
            since_better = -1.0
            assert held.standing is standing
            continue
        since_better = now if since_better < 0 else since_better
        rises = now - since_better >= RISES_AFTER_S
        assert held.standing is (standing if rises else before.standing)
        if rises:
            since_better = -1.0


def test_freshness_tells_the_age_of_each_thing_that_is_known() -> None:
    known = (replace(HERE, last_event=990.0),)
    facts = freshness(situation(fine("a"), knowledge=known), config_loaded=500.0, config_error="")
    assert [(fact.level.value, fact.about, fact.text, fact.at) for fact in facts] == [
        ("ok", "Docker", "connected, 27.3.1", None),
        ("ok", "Full list", "{ago} ago", 988.0),
        ("ok", "Events", "live, last {ago} ago", 990.0),
        ("ok", "Config", "loaded {ago} ago, gen 41", 500.0),
    ]
    facts = freshness(situation(fine("a"), knowledge=(AWAY,)), config_loaded=500.0, config_error="line 3")
    assert [(fact.level.value, fact.text, fact.at) for fact in facts] == [
        ("bad", "away for {ago}", 840.0),
        ("warn", "{ago} ago, stale", 600.0),
        ("bad", "broken, trying again", None),
        ("bad", "not taken: line 3", 500.0),
    ]


@pytest.mark.clause("12.names.remedies", "12.away.pages")
def test_of_several_dockers_each_is_named() -> None:
    out = ContainerView(
        "far/a-2", "2", "running", "unhealthy", None, LeftOut.UNHEALTHY, "far/a-2 is unhealthy: look"
    )
    view = replace(fine("a", "here/a-1"), containers=(out,))
    here, far = replace(HERE, source="here", last_event=990.0), replace(AWAY, source="far")
    seen = situation(view, knowledge=(here, far))
    told, _ = verdict(seen)
    assert told.headline.startswith("Docker `far` does not answer; the backend has containers; ")
    assert [finding.text.partition(" ")[2].partition(":")[0] for finding in told.findings] == [
        "`far` does not answer (connection refused)",
        "is unhealthy",
    ]
    assert told.findings[0].command == "rgate doctor"  # `docker version` would ask the one of this machine
    assert told.findings[1].command.endswith(" a-2")
    assert told.findings[1].do == "It is on the Docker `far`."
    facts = freshness(seen, config_loaded=500.0, config_error="")
    assert [(fact.about, fact.text, fact.at) for fact in facts][:5] == [
        ("Docker", "here: connected, 27.3.1", None),
        ("Full list", "here: {ago} ago", 988.0),
        ("Events", "here: live, last {ago} ago", 990.0),
        ("Docker", "far: away for {ago}", 840.0),
        ("Full list", "far: {ago} ago, stale", 600.0),
    ]
