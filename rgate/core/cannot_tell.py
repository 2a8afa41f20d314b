"""What ends a command that cannot tell what it is asked (behaviour 9)."""


class CannotTell(Exception):
    """It cannot be told: exit status 2. `str` gives lines that say why, and what to do."""
