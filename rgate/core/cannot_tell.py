"""What ends a command that cannot tell what it is asked (behaviour 9)."""


class CannotTell(Exception):
    """It cannot be told: exit status 2. `str` says why, and what to do: a line, or several of a file."""
