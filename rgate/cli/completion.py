"""`completion`: what makes a shell complete rgate's words, by argcomplete (behaviour 9)."""

from argparse import Namespace

from argcomplete.shell_integration import shellcode

from rgate.cli.text import say


def completion(options: Namespace) -> int:
    """Print the shell's code. Returns the exit status, 0."""
    say(shellcode(["rgate"], shell=options.shell).strip("\n"))
    return 0
