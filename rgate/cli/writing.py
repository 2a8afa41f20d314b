"""Files that commands write: whole or not at all, so that nobody reads half of one."""

import contextlib
import os
import stat

from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line


def write_new(path: str, data: bytes) -> None:
    """Write *data* to a file that is not there yet. Raises CannotTell, also where it is."""
    try:
        with open(path, "xb") as file:
            try:
                file.write(data)
                file.flush()
            except BaseException:
                os.unlink(path)
                raise
    except FileExistsError as error:
        message = f"{path} is there already, and nothing is written over it: name another file, or remove it"
        raise CannotTell(in_one_line(message)) from error
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_whole(path: str, data: bytes, *, mode: int = 0o666) -> None:
    """Put *data* in the place of whatever the file *path* holds. Raises CannotTell.

    *mode*: of the file, but for what the umask takes away.
    """
    try:
        if _is_special(path):
            with open(path, "wb") as file:
                file.write(data)
        else:
            _replace(os.path.realpath(path), data, mode)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _is_special(path: str) -> bool:
    """Whether *path* is there, and no file that could be replaced: `/dev/stdout`, a pipe."""
    with contextlib.suppress(FileNotFoundError):
        return not stat.S_ISREG(os.stat(path).st_mode)
    return False


def _replace(path: str, data: bytes, mode: int) -> None:
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine could leave an empty file under the name
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _cannot_write(path: str, error: OSError) -> CannotTell:
    return CannotTell(in_one_line(f"{path} cannot be written: {error.strerror}"))
