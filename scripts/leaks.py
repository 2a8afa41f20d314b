"""docs/leaks.svg of the samples that tests/chaos/test_leaks.py kept: `python scripts/leaks.py FOLDER`."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "docs" / "leaks.svg"
WIDTH, HEIGHT, LEFT, TOP, BETWEEN = 720, 130, 70, 28, 44
COLOURS = ("#2457a6", "#b3541e", "#2f7d4f")
FIGURES = (
    ("memory_bytes", "memory of all processes, MiB", 1 << 20),
    ("descriptors", "open files and sockets", 1),
    ("threads", "threads", 1),
)

Rows = list[dict[str, str]]


def main(folder: Path) -> int:
    """Write the picture of all ways to run that have a file in *folder*."""
    ways = {file.stem: list(csv.DictReader(file.open())) for file in sorted(folder.glob("*.csv"))}
    if not ways:
        print(f"{folder} holds no .csv: RGATE_LEAKS_KEEP={folder} make chaos", file=sys.stderr)
        return 1
    height = TOP + len(FIGURES) * (HEIGHT + BETWEEN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 20} {height}" '
        'font-family="sans-serif" font-size="12" fill="#333">',
        *(
            f'<text x="{LEFT + number * 170}" y="16" fill="{COLOURS[number % 3]}">{way}</text>'
            for number, way in enumerate(ways)
        ),
    ]
    for number, (name, title, unit) in enumerate(FIGURES):
        top = TOP + number * (HEIGHT + BETWEEN)
        parts += panel(top, title, {way: points(rows, name, unit) for way, rows in ways.items()})
    PICTURE.write_text("\n".join([*parts, "</svg>", ""]))
    print(f"wrote {PICTURE}")
    return 0


def points(rows: Rows, name: str, unit: int) -> list[tuple[float, float]]:
    """Return (minutes, figure) of each sample."""
    return [(float(row["at_s"]) / 60, float(row[name]) / unit) for row in rows]


def panel(top: int, title: str, lines: dict[str, Sequence[tuple[float, float]]]) -> list[str]:
    """Return the parts of one panel, whose scale begins at 0."""
    last = max(at for line in lines.values() for at, _ in line) or 1
    most = max(value for line in lines.values() for _, value in line) * 1.1
    bottom = top + HEIGHT
    parts = [
        f'<text x="{LEFT}" y="{top + 4}">{title}</text>',
        f'<path d="M{LEFT} {top + 10}V{bottom}H{LEFT + WIDTH}" fill="none" stroke="#999"/>',
        f'<text x="{LEFT - 6}" y="{top + 18}" text-anchor="end">{most:.0f}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{LEFT + WIDTH}" y="{bottom + 15}" text-anchor="end">{last:.0f} min</text>',
    ]
    for number, line in enumerate(lines.values()):
        places = " ".join(
            f"{LEFT + at / last * WIDTH:.1f},{bottom - value / most * (HEIGHT - 10):.1f}"
            for at, value in line
        )
        parts.append(f'<polyline points="{places}" fill="none" stroke="{COLOURS[number % 3]}"/>')
    return parts


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
