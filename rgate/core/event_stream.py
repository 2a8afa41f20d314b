"""Reads a stream of Server-Sent Events: the other side of `live.py` (WHATWG HTML 9.2.6). Pure: lines in."""

from collections.abc import Iterable, Iterator

from rgate.core.live import Event


def events_in(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of *lines*, each without its end, once the empty line behind it came.

    Comments, ids and times to wait are passed over.
    """
    name, data = "message", list[str]()
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(name, "\n".join(data))
            name, data = "message", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
