"""`init`: makes a configuration from the containers that run (behaviour 9)."""

import json
import os
import sys
from argparse import Namespace
from typing import Final

from rgate.cli.looking import Looked, look, own_id
from rgate.cli.text import say
from rgate.cli.writing import write_new
from rgate.core.cannot_tell import CannotTell
from rgate.core.config import Config
from rgate.core.config_schema import schema_text
from rgate.core.config_writing import SCHEMA_FILE, Written, config_from
from rgate.core.escape import in_one_line
from rgate.core.wording import several

_NO_CONFIG: Final = Config((), ())  # the file is still to be written
_STDOUT: Final = "-"
_WRITTEN, _NOTHING = 0, 1


def init(options: Namespace) -> int:
    """Write the file, and its schema beside it. Returns the exit status: 0, or 1 where there is no route.

    Raises CannotTell, also where there is a file already.
    """
    if options.output == _STDOUT and options.json:
        raise CannotTell("--json tells of the file that is written: name one with --output")
    if options.output != _STDOUT and os.path.lexists(options.output):
        raise CannotTell(
            in_one_line(
                f"{options.output} is there already, and nothing is written over it: name another file with "
                "--output"
            )
        )
    written = _written(look(options, _NO_CONFIG), own_id() if options.snapshot is None else "")
    if not written.routes:
        _tell_left_out(written)
        where = options.snapshot or "Docker"
        print(
            f"rgate: no container that a route could lead to runs, says {in_one_line(where)}: nothing is "
            "written. Start some, for example by `docker compose up --detach`, and try again",
            file=sys.stderr,
        )
        return _NOTHING
    if options.output == _STDOUT:
        sys.stdout.write(written.text)
        sys.stdout.flush()
        return _WRITTEN
    write_new(options.output, written.text.encode())
    schema = os.path.join(os.path.dirname(options.output), SCHEMA_FILE)
    if not os.path.lexists(schema):
        write_new(schema, schema_text().encode())
    if options.json:
        left_out = [{"name": name, "why": why} for name, why in written.left_out]
        say(json.dumps({"file": options.output, "routes": written.routes, "left_out": left_out}, indent=2))
        return _WRITTEN
    _tell_left_out(written)
    config = "" if options.output == "config.yml" else f" --config {options.output}"
    say(in_one_line(f"{options.output}: {several(written.routes, 'route')}; start it: rgate serve{config}"))
    return _WRITTEN


def _written(looked: Looked, own: str) -> Written:
    if away := looked.away(_NO_CONFIG):
        raise CannotTell(in_one_line(away))
    return config_from(looked.seen(_NO_CONFIG), own_id=own, left_out=looked.left_out(_NO_CONFIG))


def _tell_left_out(written: Written) -> None:
    for name, why in written.left_out:
        print(in_one_line(f"rgate: left out: {name}: {why}"), file=sys.stderr)
