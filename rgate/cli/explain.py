"""`explain`: says what becomes of a request, and why (behaviour 9)."""

import json
import sys
from argparse import Namespace
from typing import Final

from pydantic import ValidationError

from rgate.cli.asking_gateway import ask_gateway
from rgate.cli.config_file import load_config
from rgate.cli.looking import look
from rgate.cli.text import has_colour, say, text_of
from rgate.core.asked import DEFAULT_PORT, BadQuestion, Url, asked_of, split_url
from rgate.core.cannot_tell import CannotTell
from rgate.core.explain import Asked
from rgate.core.explain import explain as explained
from rgate.core.own import OwnPage
from rgate.engines import CAN_TUNNEL, ENGINES
from rgate.web.documents import ExplanationDocument

_DEFAULT_CLIENT: Final = "127.0.0.1"
_DEFAULT_ENGINE: Final = next(iter(ENGINES))


def explain(options: Namespace) -> int:
    """Say it. Returns the exit status: 0 for yes, 1 for no. Raises CannotTell."""
    asked = _asked(options)
    document = _from_gateway(options, asked) if options.gateway else _from_here(options, asked)
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


def _from_here(options: Namespace, asked: Asked) -> ExplanationDocument:
    """Return what a gateway would do that starts now. Raises CannotTell."""
    config = load_config(options.config)
    looked = look(options)
    can_tunnel = (options.engine or _DEFAULT_ENGINE) in CAN_TUNNEL
    gateway = looked.gateway(config, can_tunnel=can_tunnel, doubtful=True)
    explanation = explained(gateway, asked, looked.knowledge)
    if explanation.backend is not None:  # what is doubtful of others has no part in it
        doubt = looked.doubts(config).get(explanation.backend)
        if doubt is not None:
            raise doubt
    return ExplanationDocument.of(explanation)


def _from_gateway(options: Namespace, asked: Asked) -> ExplanationDocument:
    """Return what the running gateway says. Raises CannotTell."""
    if options.engine:
        raise CannotTell("--engine is not for --gateway: it has one")
    sent = {"method": asked.method, "target": asked.target, "host": asked.host}
    told = ask_gateway(
        options.gateway,
        OwnPage.EXPLAIN.value,
        # As bytes: what is no UTF-8 goes on as it is.
        {
            **{name: text.encode("utf-8", "surrogateescape") for name, text in sent.items()},
            "client": options.client,
            "header": [b"%b: %b" % field for field in asked.fields],
        },
    )
    try:
        return ExplanationDocument.model_validate(told)
    except ValidationError as error:
        message = f"{options.gateway} tells what this rgate does not know: it is of another version"
        raise CannotTell(message) from error
