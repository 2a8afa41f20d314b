"""Where explanations come from: made here, as of a gateway that starts now, or told by a running one
(behaviour 9).
"""

from collections.abc import Callable

from rgate.cli.asking_gateway import asked_as
from rgate.cli.looking import Looked
from rgate.core.config import Config
from rgate.core.explain import Asked, explain
from rgate.core.own import OwnPage
from rgate.web.documents import ExplanationDocument

Explain = Callable[[Asked], ExplanationDocument]
"""What says what becomes of a request, and why. Raises CannotTell."""


def made_here(config: Config, looked: Looked, *, can_tunnel: bool = True) -> Explain:
    """Return what explains by what *looked* found, as a gateway with *config* would do that starts now."""
    gateway = looked.gateway(config, can_tunnel=can_tunnel, doubtful=True)
    doubts, knowledge = looked.doubts(config), looked.knowledge(config)

    def explained(asked: Asked) -> ExplanationDocument:
        explanation = explain(gateway, asked, knowledge)
        # What is doubtful of other backends has no part in it.
        if (doubt := doubts.get(explanation.backend or "")) is not None:
            raise doubt
        return ExplanationDocument.of(explanation)

    return explained


def told_by(url: str, *, client: str | None = None) -> Explain:
    """Return what asks the rgate at *url*. *client*: where requests come from; None: from here."""

    def explained(asked: Asked) -> ExplanationDocument:
        sent = {"method": asked.method, "target": asked.target, "host": asked.host}
        return asked_as(
            ExplanationDocument,
            url,
            OwnPage.EXPLAIN.value,
            # As bytes: what is no UTF-8 goes on as it is.
            {
                **{name: text.encode("utf-8", "surrogateescape") for name, text in sent.items()},
                "client": client,
                "header": [b"%b: %b" % field for field in asked.fields],
            },
        )

    return explained
