"""What carries out the decisions of core/: bytes in, steps out. One engine is chosen by its name."""

from typing import Final

ENGINES: Final = {
    "asyncio": "rgate.engines.asyncio_engine:AsyncioEngine",
    "flask": "rgate.engines.flask_engine:FlaskEngine",
}
"""Each engine's class, by the name that `--engine` takes. Not imported: `--help` needs none of them."""

CAN_TUNNEL: Final = frozenset({"asyncio"})
"""Those that can switch protocols."""
