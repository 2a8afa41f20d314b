"""`explain`: says what becomes of a request, and why (behaviour 9)."""

import json
import sys
from argparse import Namespace
from typing import Final

from rgate.cli.config_file import load_config
from rgate.cli.explaining import made_here, told_by
from rgate.cli.looking import look
from rgate.cli.text import has_colour, say, text_of
from rgate.cli.waiting import told_if_slow
from rgate.core.asked import DEFAULT_PORT, BadQuestion, Url, asked_of, split_url
from rgate.core.cannot_tell import CannotTell
from rgate.core.explain import Asked
from rgate.engines import CAN_TUNNEL, ENGINES
from rgate.web.documents import ExplanationDocument

_DEFAULT_CLIENT: Final = "127.0.0.1"
_DEFAULT_ENGINE: Final = next(iter(ENGINES))


def explain(options: Namespace) -> int:
    """Say it. Returns the exit status: 0 for yes, 1 for no. Raises CannotTell."""
    asked = _asked(options)
    document = _explain(options, asked)
    if options.json:
        say(json.dumps(document.as_json(), indent=2))
    else:
        say(text_of(document, colour=has_colour(sys.stdout)))
    return 0 if document.is_yes else 1


def _asked(options: Namespace) -> Asked:
    """Return the request that is meant. Raises BadQuestion."""
    *methods, place = options.request
    if len(methods) > 1:
        raise BadQuestion(
            f"One request can be asked about, and not {len(options.request)} words: METHOD URL."
        )
    url = split_url(place) or Url(place, "localhost", DEFAULT_PORT)
    return asked_of(
        url.target,
        method=methods[0] if methods else "GET",
        host=url.host,
        headers=options.header,
        client=options.client or _DEFAULT_CLIENT,
        port=url.port,
    )


def _explain(options: Namespace, asked: Asked) -> ExplanationDocument:
    """Return what becomes of *asked*. Raises CannotTell."""
    if options.gateway is not None:
        if options.engine:
            raise CannotTell("--engine is not for --gateway: it has one")
        with told_if_slow(f"asking {options.gateway}"):
            return told_by(options.gateway, client=options.client)(asked)
    can_tunnel = (options.engine or _DEFAULT_ENGINE) in CAN_TUNNEL
    config = load_config(options.config)
    return made_here(config, look(options, config), can_tunnel=can_tunnel)(asked)
