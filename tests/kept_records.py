"""A request log that keeps what it takes."""

from rgate.core.record import Record


class KeptRecords(list[Record]):
    """The records, in order."""

    def add(self, record: Record) -> None:
        self.append(record)

    def counter(self, route: str, backend: str, container: str) -> None:
        """A record of each is wanted."""
