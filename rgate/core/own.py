"""Which paths rgate answers itself. They win over every route (behaviour 3)."""

from typing import Final

OWN_PREFIX: Final = b"/_rgate"


def is_own(path: bytes, stats_path: str) -> bool:
    """Whether *path*, as received and without its query, is the stats' or one under `/_rgate/`."""
    return path == stats_path.encode() or path == OWN_PREFIX or path.startswith(OWN_PREFIX + b"/")
