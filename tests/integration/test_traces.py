"""Spans leave without anybody waiting for who takes them (behaviour 10.traces)."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.collector import attributes, collecting, frozen
from tests.integration.backend import Backend
from tests.integration.gateway import finished, running, wait_until, write_config

pytestmark = pytest.mark.integration

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


def config_of(backend: Backend, endpoint: str, sample: float = 1.0) -> dict[str, Any]:
    return {
        "routes": [{"path_prefix": "/", "backend": "b"}],
        "backends": [{"name": "b", "urls": [f"http://127.0.0.1:{backend.port}"]}],
        "tracing": {"endpoint": endpoint, "sample": sample},
    }


@pytest.mark.slow
@pytest.mark.clause("10.traces.delay", "10.traces.end")
def test_a_frozen_collector_holds_up_neither_requests_nor_the_end(tmp_path: Path, backend: Backend) -> None:
    with frozen() as collector:
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        patient = SOON | {"OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        with running(tmp_path, config_of(backend, endpoint), environment=patient) as gateway:
            with gateway.client() as client:
                assert client.get("/a").status == 200
                collector.settimeout(20)
                taken, _ = collector.accept()  # a batch is on its way, and nobody answers
                with taken:
                    assert {client.get("/a").status for _ in range(300)} == {200}
                    assert gateway.stop() == 0
            assert gateway.errors().count("traces are lost") == 1


@pytest.mark.clause("10.traces.end")
@pytest.mark.any_engine
def test_what_a_collector_answered_before_is_no_reason_that_the_last_spans_are_lost(
    tmp_path: Path, backend: Backend
) -> None:
    with collecting() as collector:
        config = config_of(backend, collector.endpoint)
        with running(tmp_path, config, environment=SOON) as gateway, gateway.client() as client:
            collector.span(str(client.get("/a").fields["X-Request-ID"]))
            collector.goes_on.clear()
            collector.span(str(client.get("/a").fields["X-Request-ID"]))
            assert gateway.stop() == 0
        collector.goes_on.set()
    assert "takes none (no answer in time)" in gateway.errors()


@pytest.mark.clause("10.traces.delay")
@pytest.mark.any_engine
def test_a_collector_that_is_away_is_told_of_once_and_so_is_that_it_is_back(
    tmp_path: Path, backend: Backend
) -> None:
    with collecting() as collector:
        config, port = config_of(backend, collector.endpoint), collector.port
    hasty = SOON | {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with running(tmp_path, config, environment=hasty) as gateway, gateway.client() as client:

        def asked() -> str:
            assert client.get("/a").status == 200
            return gateway.errors()

        wait_until(asked, lambda told: "traces are lost" in told, within_s=30)
        with collecting(port) as collector:
            wait_until(asked, lambda told: "traces go on" in told, within_s=30)
            collector.wait(lambda span: span.name == "GET /")
            assert gateway.stop() == 0
    told = gateway.errors().splitlines()
    assert [line.partition(":")[2].split(" (")[0] for line in told] == [
        f" traces are lost: the collector at {collector.endpoint}/v1/traces takes none",
        f" traces go on: the collector at {collector.endpoint}/v1/traces takes them again",
    ]
    assert "(Connection refused)" in told[0]


@pytest.mark.slow
@pytest.mark.clause("10.traces.workers", "10.traces.end")
@pytest.mark.any_engine
def test_each_worker_sends_what_it_has_by_the_end(tmp_path: Path, backend: Backend) -> None:
    late = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with collecting() as collector:
        config = config_of(backend, collector.endpoint)
        with running(tmp_path, config, "--workers", "2", environment=late) as gateway:
            for number in range(20):
                assert gateway.get(f"/{number}").status == 200  # over a connection each, for any worker
            assert gateway.stop() == 0
        spans = collector.wait(lambda _: True, 20)
    assert sorted(int(attributes(span.attributes)["url.path"][1:]) for span in spans) == [*range(20)]
    assert len({span.trace_id for span in spans}) == 20
    assert gateway.errors() == ""


@pytest.mark.slow
@pytest.mark.clause("10.traces.flag", "10.traces.workers")
@pytest.mark.any_engine
def test_a_trace_is_sampled_by_all_workers_or_by_none(tmp_path: Path, backend: Backend) -> None:
    with collecting() as collector:
        config = config_of(backend, collector.endpoint, sample=0.5)
        with running(tmp_path, config, "--workers", "2", environment=SOON) as gateway:
            for trace in range(1, 21):
                for number in range(6):
                    fields = {"traceparent": f"00-{trace:032x}-{number + 1:016x}-00"}
                    with gateway.client() as client:
                        assert client.request("GET", "/a", fields=fields).status == 200
            assert gateway.stop() == 0
        spans = collector.wait(lambda _: True)
    asked = [int(span.trace_id.hex(), 16) for span in spans]
    assert {asked.count(trace) for trace in range(1, 21)} == {0, 6}


@pytest.mark.clause("10.traces.extra", "10.traces.explain")
@pytest.mark.any_engine
def test_a_reload_leaves_traces_as_they_were_and_says_so(tmp_path: Path, backend: Backend) -> None:
    with collecting() as collector:
        config = config_of(backend, collector.endpoint)
        with running(tmp_path, config, environment=SOON) as gateway:
            write_config(tmp_path, {**config, "tracing": None})
            gateway.send_signal(signal.SIGHUP)
            wait_until(gateway.errors, lambda text: "reloaded" in text, within_s=10)
            assert "tracing changes at the next start" in gateway.errors()
            told = gateway.get("/_rgate/explain?target=/a").json()
            assert ["traceparent", "<made>"] in told["forwarded"]["fields"]
            assert gateway.get("/a").status == 200
            collector.wait(lambda span: span.name == "GET /")
            assert gateway.stop() == 0
    told = finished("explain", "/a", "--json", cwd=tmp_path)
    assert "traceparent" not in told.stdout
