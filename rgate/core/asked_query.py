"""What the query of `/_rgate/explain` may ask for (behaviour 9). Bytes in, a value out."""

from typing import Final
from urllib.parse import parse_qsl

from rgate.core.asked import Asked, BadQuestion, asked_of
from rgate.core.fields import ClientConnection

_ONCE: Final = ("method", "target", "host", "client")
_PARAMETERS: Final = "`method`, `target`, `host`, `client`, and `header` as often as there are fields"


def asked_in(query: bytes, client: ClientConnection) -> Asked:
    """Return the request that *query*, the part of the target behind `?`, asks about.

    What it does not say: GET, the host `localhost`, and that *client*, who asks, sends it. Bytes that are no
    UTF-8 are kept as `surrogateescape` does. Raises BadQuestion.
    """
    text = query.decode("utf-8", "surrogateescape")
    given: dict[str, str] = {}
    headers: list[str] = []
    for key, value in parse_qsl(text, keep_blank_values=True, errors="surrogateescape"):
        if key == "header":
            headers.append(value)
        elif key not in _ONCE:
            raise BadQuestion(f"The query may have {_PARAMETERS}, and not {key!r}.")
        elif key in given:
            raise BadQuestion(f"The query says `{key}` more than once.")
        else:
            given[key] = value
    if "target" not in given:
        raise BadQuestion(f"The query has no `target`, such as /api/orders/7; it may have {_PARAMETERS}.")
    given = {"client": client.peer} | given
    return asked_of(given.pop("target"), headers=headers, port=client.local_port, **given)
