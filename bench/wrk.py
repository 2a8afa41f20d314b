"""Load by `wrk`, as fast as it goes."""

import re
import subprocess
from pathlib import Path

from bench.load import Answered, Load, LoadFailed
from bench.machine import LOAD_CORE

_TRACED = """
local number = 0
function request()
  number = number + 1
  wrk.headers["traceparent"] = string.format("00-%032x-%016x-01", number, number)
  return wrk.format()
end
"""
_LUA = """
{request}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %.3f\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99) / 1000))
end
"""


def run(load: Load, port: int, seconds: float, directory: Path) -> Answered:
    """Ask for *seconds*, on the core of load. Raises LoadFailed where any answer was wrong."""
    script = directory / "load.lua"
    fields = "\n".join(f'wrk.headers["{name}"] = [[{value}]]' for name, value in load.fields)
    body = f'wrk.body = string.rep("x", {load.content_bytes})' if load.content_bytes else ""
    request = f'wrk.method = "{load.method}"\n{fields}\n{body}\n{_TRACED if load.traced else ""}'
    script.write_text(_LUA.replace("{request}", request))
    command = [
        *("taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{load.connections}"),
        *(f"-d{max(1, round(seconds))}s", "-s", str(script), f"http://127.0.0.1:{port}{load.path}"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return parse(ended.stdout)


def parse(printed: str) -> Answered:
    """Return what wrk's script printed at its end. Raises LoadFailed where there were errors."""
    matched = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+)", printed)
    if matched is None:
        raise LoadFailed(f"wrk said nothing of its result: {printed[-500:]}")
    requests, microseconds, errors, p99_ms = matched.groups()
    if int(errors) or "Non-2xx" in printed or int(requests) == 0:
        raise LoadFailed(f"{errors} errors of {requests}: {printed[-500:]}")
    return Answered(int(requests), int(microseconds) / 1e6, float(p99_ms))
