"""`snapshot`: records what Docker says of containers, for other commands to look into (behaviour 9)."""

import os
import sys
from argparse import Namespace

from rgate.cli.config_file import load_config
from rgate.cli.looking import look_at
from rgate.cli.writing import write_whole
from rgate.core.cannot_tell import CannotTell
from rgate.core.config import Config
from rgate.core.escape import in_one_line
from rgate.core.recording import Recording, recorded_source, written

_STDOUT = "-"
_USUAL = "config.yml"


def snapshot(options: Namespace) -> int:
    """Write the recording. Returns the exit status: 0, or raises CannotTell."""
    config = _config(options.config)
    looked = look_at(config.asked_sources)
    if away := looked.away(config):
        raise CannotTell(in_one_line(away))
    sources = tuple(
        recorded_source(
            one.seen.containers or (),
            one.seen.host,
            name=one.seen.source,
            version=one.knowledge.version,
            keep=options.keep_labels,
        )
        for one in looked.at
    )
    text = written(Recording(looked.at[0].knowledge.since, sources))
    if options.output == _STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()  # before it is said to be recorded
    else:
        write_whole(options.output, text.encode(), mode=0o600)
    values = sum(len(keys) for source in sources for keys in source.left_out.values())
    containers = sum(len(source.containers) for source in sources)
    whose = f" of {len(sources)} sources" if len(sources) > 1 else ""
    print(
        f"rgate: recorded {_count(containers, 'container')}{whose}; {_left_out(values)}",
        file=sys.stderr,
    )
    return 0


def _config(path: str | None) -> Config:
    """Return the configuration that says who is asked: the file *path*, or config.yml where there is one."""
    if path is None and not os.path.lexists(_USUAL):
        return Config((), ())
    return load_config(path or _USUAL)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _left_out(values: int) -> str:
    if not values:
        return "no label's value was left out"
    return (
        f"the values of {_count(values, 'label')} were left out, as they may be secrets or paths "
        "(`left_out_labels` names them, --keep-labels keeps them)"
    )
