"""Says in the log for which services a Swarm balances itself (behaviour 12)."""

import logging
from collections.abc import Callable

from rgate.core.view_changes import Views

log = logging.getLogger("rgate.docker")


class Balanced:
    """Warns once of each service that stands for its tasks, between one look at *views* and the next."""

    def __init__(self, views: Callable[[], Views]) -> None:
        self._views = views
        self._told: set[tuple[str, str]] = set()  # backends and ids of services

    def look(self) -> None:
        """Warn of those that are new."""
        for backend, view in self._views().items():
            for one in view.containers:
                key = backend, one.container_id
                if one.is_service and one.left_out is None and key not in self._told:
                    self._told.add(key)
                    log.warning("%s backend=%r", one.detail, backend)
