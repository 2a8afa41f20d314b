"""`snapshot`: records what Docker says of containers, for other commands to look into (behaviour 9)."""

import contextlib
import os
import stat
import sys
import tempfile
from argparse import Namespace

from rgate.cli.looking import look_at_docker
from rgate.core.cannot_tell import CannotTell
from rgate.core.config_errors import in_one_line
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
    _write(written(Recording(knowledge.since, (source,))), options.output)
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


def _write(text: str, path: str) -> None:
    """Write *text* to the file *path*, or to standard output. Raises CannotTell."""
    what = "standard output" if path == _STDOUT else path
    try:
        if path == _STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
        elif _is_special(path):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        else:
            _replace(os.path.realpath(path), text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotTell(in_one_line(f"cannot write {what}: {error.strerror}")) from error


def _is_special(path: str) -> bool:
    """Whether *path* is there, and no file to be replaced: `/dev/stdout`, a pipe."""
    with contextlib.suppress(FileNotFoundError):
        return not stat.S_ISREG(os.stat(path).st_mode)
    return False


def _replace(path: str, text: str) -> None:
    """Put a file with *text*, for its owner alone (mode 0600), at *path*: whole, or not at all."""
    descriptor, temporary = tempfile.mkstemp(prefix=".rgate-", dir=os.path.dirname(path))
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)  # else a crash of the machine could leave an empty file under the name
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
