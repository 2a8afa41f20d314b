"""What lies below an exception: libraries wrap those of the system."""

from collections.abc import Iterator


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield *error* and what caused it, the cause of all last."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        held = [
            held for held in (*error.args, getattr(error, "reason", None)) if isinstance(held, BaseException)
        ]
        error = held[0] if held else error.__cause__ or error.__context__
