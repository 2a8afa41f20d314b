"""Configurations as files: the good ones are taken, the bad ones told with the text beside them."""

import sys
from pathlib import Path

import pytest

from rgate.cli.config_file import load_config
from rgate.core.config_errors import ConfigErrors

HERE = Path(__file__).parent


@pytest.mark.clause("2.file.empty")
@pytest.mark.parametrize("path", sorted((HERE / "good").glob("*.yml")), ids=lambda path: str(path.stem))
def test_a_good_file_is_taken(path: Path) -> None:
    load_config(str(path))


@pytest.mark.clause("2.file.merge_keys")
def test_merge_keys_mean_what_they_stand_for(tmp_path: Path) -> None:
    (tmp_path / "spelt_out.yml").write_text(
        """
        routes:
          - {path_prefix: /a, backend: one, match: segment}
          - {path_prefix: /b, backend: one, match: segment}
          - {path_prefix: /c, backend: one, match: segment}
        backends:
          - {name: one, match_labels: {app: shop}, timeouts: {connect: 0.5, response: 5}}
          - name: two
            match_labels: {tier: web, app: shop}
            timeouts: {connect: 0.5, response: 5, idle: 10}
        """
    )

    assert load_config(str(HERE / "good/merge_keys.yml")) == load_config(str(tmp_path / "spelt_out.yml"))


@pytest.mark.clause(
    "2.host.form",
    "2.backend.one_of",
    "12.sources.config",
    "2.errors.before",
    "2.errors.located",
    "2.errors.missing",
    "2.errors.double_name",
    "2.errors.double_prefix",
    "2.errors.double_key",
    "2.errors.url",
    "2.errors.file",
)
@pytest.mark.parametrize("path", sorted((HERE / "bad").glob("*.yml")), ids=lambda path: str(path.stem))
def test_a_bad_file_is_told_with_every_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigErrors) as raised:
        load_config(path.name)
    assert str(raised.value) + "\n" == path.with_suffix(".expected").read_text()


@pytest.mark.clause("10.traces.extra")
def test_tracing_without_what_it_needs_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # As if nothing of it were installed.
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    Path("a.yml").write_text('routes: 5\nbackends: []\ntracing: {endpoint: "http://c:4318"}\n')
    with pytest.raises(ConfigErrors) as raised:
        load_config("a.yml")
    assert str(raised.value).splitlines() == [
        "a.yml:1: routes: found 5; allowed: a list",
        "a.yml:3: tracing: needs OpenTelemetry, which is not here: pip install 'rgate[otel]'",
    ]
    Path("a.yml").write_text("routes: []\nbackends: []\ntracing:\n")
    assert load_config("a.yml").tracing is None


@pytest.mark.clause("12.daemon.tls")
def test_certificates_that_cannot_be_read_are_told_where_they_are_used(tmp_path: Path) -> None:
    path, ca = tmp_path / "a.yml", tmp_path / "ca.pem"
    path.write_text(
        "routes: []\nbackends: []\nsources:\n"
        f"  - {{name: far, docker: 'tcp://h:1', tls: {{ca: {ca}, cert: /nowhere/c.pem, key: .}}}}\n"
    )
    assert load_config(str(path)).sources[0].tls is not None
    ca.touch()
    with pytest.raises(ConfigErrors) as raised:
        load_config(str(path), is_used=True)
    assert str(raised.value).splitlines() == [
        f'{path}:4: sources[0].tls.cert: "/nowhere/c.pem" cannot be read: No such file or directory',
        f'{path}:4: sources[0].tls.key: "." cannot be read: Is a directory',
    ]


@pytest.mark.clause("2.errors.file")
@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_a_file_that_cannot_be_read_is_told_too(name: str) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load_config(str(HERE / name))
