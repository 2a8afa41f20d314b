"""A PostgreSQL server for the tests: a cluster of their own in a directory that is removed."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

START_WITHIN_S: Final = 30
# It lasts for one run of tests: what a crash would cost is nothing.
OPTIONS: Final = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c synchronous_commit=off"


def programs() -> Path | None:
    """Return the directory of the newest PostgreSQL's programs; None where there is none.

    Debian keeps them out of PATH.
    """
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    if in_path := shutil.which("initdb"):
        found.append(Path(in_path).resolve())
    return found[0].parent if found else None


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """Run a server, and give its URL. It listens on a socket in its own directory, and nowhere else."""
    with tempfile.TemporaryDirectory(prefix="rgate-pg-") as directory:
        as_user = _not_root(directory)

        def run(program: str, *arguments: str) -> None:
            # No pipe: the server would inherit it, and reading it would never end.
            log = Path(directory, "log")
            with log.open("a") as output:
                ended = subprocess.run(
                    [binaries / program, "-D", f"{directory}/data", *arguments],
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=2 * START_WITHIN_S,
                    check=False,
                    **as_user,
                )
            assert ended.returncode == 0, f"{program}: {log.read_text()}"

        run("initdb", "--auth=trust", "--username=rgate", "--encoding=UTF8", "--locale=C", "--no-sync")
        run("pg_ctl", "start", "-w", "-t", str(START_WITHIN_S), "-o", f"{OPTIONS} -k {directory}")
        try:
            yield f"postgresql+psycopg://rgate@/postgres?host={directory}"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")


def _not_root(directory: str) -> dict[str, Any]:
    """Return how a program is run by somebody who owns *directory*: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """Stop all processes of the server at *url*, which is one of `server`: it answers nothing, and nobody."""
    directory = sa.make_url(url).query["host"]
    main = int(Path(str(directory), "data/postmaster.pid").read_text().split()[0])
    stopped: list[int] = []
    try:
        # The main one first, as it would make more.
        os.kill(main, signal.SIGSTOP)
        stopped.append(main)
        for child in map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split()):
            os.kill(child, signal.SIGSTOP)
            stopped.append(child)
        yield
    finally:
        for process in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
