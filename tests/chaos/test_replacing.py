"""Ten rgates in turn take each other's place under load, and no request is lost (docs/reliability.md)."""

from pathlib import Path

import pytest

from rgate.engines import ENGINES
from tests.integration import gateway as gateway_process
from tests.integration.backend import running_backend
from tests.integration.test_replacing import replace_in_turn

WORKERS = ["1", "1", "2", "4", "4", "3", "1", "2", "2", "3", "1"]


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_nothing_is_lost_in_ten_replaces(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_process, "engine", engine)
    with running_backend() as backend:
        asked = replace_in_turn(backend, tmp_path, WORKERS, each=1900, new=2, kept=2)
    assert asked.answered >= 20_000
    print(f"{engine}: {asked.answered} answered, {len(asked.lost)} lost")
