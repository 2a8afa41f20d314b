"""The engine for speed: `asyncio.Protocol` pairs over core/. `engine.py` starts and ends it; a request
comes in by `client.py`, and `forwarding.py` carries it out over a connection of `upstream.py`.
"""

from rgate.engines.asyncio_engine.engine import AsyncioEngine

__all__ = ["AsyncioEngine"]
