"""`schema`: the JSON Schema of the configuration, for editors (behaviour 9)."""

from argparse import Namespace

from rgate.cli.text import say
from rgate.core.config_schema import schema_text


def schema(_options: Namespace) -> int:
    """Print it. Returns the exit status, 0."""
    say(schema_text().removesuffix("\n"))
    return 0
