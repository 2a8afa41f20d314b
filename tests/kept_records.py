"""A request log that keeps what it takes."""

from rgate.core.record import Record, Whole


class KeptRecords(list[Record]):
    """The records, in order, and in `wholes` what was told of without one."""

    def __init__(self) -> None:
        super().__init__()
        self.wholes: list[Whole] = []
        self.keep = self.wholes.append

    def add(self, record: Record) -> None:
        self.append(record)

    def counter(self, route: str, backend: str, container: str) -> None:
        """A record of each is wanted."""
