"""The pieces of the hot path, each alone; COSTS.md says what they mean."""

from pathlib import Path

from tests.benchmarks.speed.alone import door, sending, storing
from tests.benchmarks.speed.figures import number, table
from tests.benchmarks.speed.jobfiles import COUNTED_MODEL, chat_file
from tests.benchmarks.speed.provider import serving


def measured(folder: Path, rows: int) -> str:
    """The table of all pieces, in the order in which a row meets them."""
    file = chat_file(folder / "files", rows)
    counted = chat_file(folder / "files", rows, model=COUNTED_MODEL)
    with serving(folder / "provider") as provider:
        sent = sending.pieces(file, provider.base_url)
    stored = storing.pieces(file)
    pieces = [*door.pieces(file, counted), *stored[:2], *sent, *stored[2:]]
    return table([("piece", "CPU µs a row", ""), *((each.name, number(each.cost), each.does) for each in pieces)])
