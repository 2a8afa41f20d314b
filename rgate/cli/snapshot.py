"""`snapshot`: records what Docker says of containers, for other commands to look into (behaviour 9)."""

import sys
from argparse import Namespace

from rgate.cli.looking import look_at_docker
from rgate.cli.writing import write_whole
from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line
from rgate.core.recording import Recording, recorded_source, written

_STDOUT = "-"


def snapshot(options: Namespace) -> int:
    """Write the recording. Returns the exit status: 0, or raises CannotTell."""
    looked = look_at_docker()
    knowledge = looked.knowledge[0]
    if looked.containers is None:
        raise CannotTell(in_one_line(f"Docker does not answer: {knowledge.error}"))
    source = recorded_source(
        looked.containers, looked.host, version=knowledge.version, keep=options.keep_labels
    )
    text = written(Recording(knowledge.since, (source,)))
    if options.output == _STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()  # before it is said to be recorded
    else:
        write_whole(options.output, text.encode(), mode=0o600)
    values = sum(map(len, source.left_out.values()))
    print(
        f"rgate: recorded {_count(len(source.containers), 'container')}; {_left_out(values)}", file=sys.stderr
    )
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _left_out(values: int) -> str:
    if not values:
        return "no label's value was left out"
    return (
        f"the values of {_count(values, 'label')} were left out, as they may be secrets or paths "
        "(`left_out_labels` names them, --keep-labels keeps them)"
    )
