"""Commands to copy into a shell, about the very gateway that tells them (behaviour 9 and 10)."""

from shlex import quote
from typing import Final
from urllib.parse import urlsplit

PROGRAM: Final = "rgate"
"""What it is called where it is installed."""


def asking(program: str, command: str, argument: str, url: str) -> str:
    """Return the *command* of *program* with its *argument*, quoted already, that asks the gateway at *url*;
    "": where that is, another server knows.
    """
    gateway = f" --gateway {quote(url)}" if url else ""
    return f"{program} {command} {argument}{gateway}"


def looking_after(program: str, config_path: str, url: str) -> str:
    """Return the command that says whether the gateway at *url* could run, as it was started."""
    port = urlsplit(url).port
    config = f" --config {quote(config_path)}" if config_path else ""
    return f"{program} doctor{config}" + (f" --port {port}" if port else "")
