"""Processes: started on one core, their CPU time and memory read from /proc, ended by their id."""

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

GATEWAY_CORE, LOAD_CORE = 0, 1


def start(command: list[str], core: int, directory: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start *command* on *core*; what it says goes to files in *directory*."""
    with (directory / "out").open("wb") as out, (directory / "err").open("wb") as err:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **environment},
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End *process*, and wait for it."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def family(pid: int) -> list[int]:
    """Return *pid* and its descendants."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            children += map(int, (task / "children").read_text().split())
    return [pid, *(member for child in children for member in family(child))]


def cpu_us(pid: int) -> float:
    """Return the CPU time of *pid* and its descendants, to the nanosecond as the scheduler counts it."""
    total = 0
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1000


def resident_bytes(pid: int) -> int:
    """Return the proportional resident memory of *pid* and its descendants."""
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def unshared_bytes(pid: int) -> int:
    """Return the resident memory of *pid* and its descendants but for files; quick, however large it is."""
    total = 0
    for member in family(pid):
        _, resident, shared, *_ = map(int, Path(f"/proc/{member}/statm").read_text().split())
        total += (resident - shared) * os.sysconf("SC_PAGESIZE")
    return total


def descriptors(pid: int) -> int:
    """Return how many files and sockets *pid* has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def free_port() -> int:
    """Return a port that was free a moment ago."""
    return free_ports(1)[0]


def free_ports(count: int) -> tuple[int, ...]:
    """Return as many ports, all different, that were free a moment ago.

    They lie below those that connections get (32768 and up, as Linux comes): a port of these may be free,
    and taken by somebody's connection a moment later.
    """
    with contextlib.ExitStack() as stack:
        taken: list[int] = []
        for port in random.sample(range(16384, 32768), 16384):
            sock = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", port))
                taken.append(port)
            if len(taken) == count:
                return tuple(taken)
    raise OSError(f"fewer than {count} free ports")


def wait_until(is_true: Callable[[], bool], within_s: float, awaited: str) -> None:
    """Return once *is_true*. Raises TimeoutError, which names what was *awaited*."""
    until_s = time.monotonic() + within_s
    while not is_true():
        if time.monotonic() > until_s:
            raise TimeoutError(f"{awaited} did not come within {within_s:g} s")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether somebody listens on *port*."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def running(
    command: list[str], core: int, port: int, directory: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* until the block ends; it is entered once *port* is listened on."""
    directory.mkdir(parents=True, exist_ok=True)
    process = start(command, core, directory, **(environment or {}))
    try:
        wait_until(lambda: accepts(port) or process.poll() is not None, 30, f"{command[0]} on port {port}")
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended: {(directory / 'err').read_text()[-2000:]}")
        yield process
    finally:
        stop(process)
