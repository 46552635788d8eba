"""What was asked, what was measured: figures, their table, their file, and two files side by side."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

Sense = Literal[">=", "<="]
_HEAD: Final = ("case", "what", "asked", "measured", "", "of repeats, from to")


class Figure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was measured, once a repeat. Without `asked` it only explains another."""

    case: str
    what: str
    repeats: Sequence[float]
    unit: str = ""
    sense: Sense = "<="
    asked: float | None = None

    @property
    def measured(self) -> float:
        """The median of the repeats."""
        return statistics.median(self.repeats)

    @property
    def is_met(self) -> bool:
        """Whether the median keeps what was asked."""
        if self.asked is None:
            return True
        return self.measured >= self.asked if self.sense == ">=" else self.measured <= self.asked


class Report(Struct, frozen=True, kw_only=True):
    """A whole run of the benchmarks: what makes two of them comparable, and every repeat."""

    commit: str
    machine: str
    provider: str
    load: float
    versions: dict[str, str]
    figures: Sequence[Figure]


def number(value: float, unit: str = "") -> str:
    """Three figures that count, thousands parted: 0.0512, 1.25, 84.1, 11,900."""
    size = abs(value)
    places = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{places}f}{f' {unit}' if unit else ''}"


def row(figure: Figure) -> tuple[str, ...]:
    """One line of the table."""
    asked = "" if figure.asked is None else f"{figure.sense} {number(figure.asked, figure.unit)}"
    verdict = "" if figure.asked is None else "ok" if figure.is_met else "SHORT"
    span = f"{len(figure.repeats)}: {number(min(figure.repeats))} … {number(max(figure.repeats))}"
    repeats = span if len(figure.repeats) > 1 else ""
    return (figure.case, figure.what, asked, number(figure.measured, figure.unit), verdict, repeats)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Columns side by side, each as wide as its widest cell."""
    cells = [tuple(each) for each in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip() for each in cells
    )


def shown(figures: Iterable[Figure]) -> str:
    """The table of the figures."""
    return table([_HEAD, *map(row, figures)])


def compared(before: Report, after: Report) -> str:
    """Figures that both reports hold, with how much the second is of the first."""
    known = {(each.case, each.what): each for each in before.figures}
    pairs = [(known[key], each) for each in after.figures if (key := (each.case, each.what)) in known]
    head = ("case", "what", before.commit, after.commit, "ratio")
    return table([head, *(_compared(old, new) for old, new in pairs)])


def _compared(old: Figure, new: Figure) -> tuple[str, ...]:
    ratio = number(new.measured / old.measured) if old.measured else "-"
    return (new.case, new.what, number(old.measured, old.unit), number(new.measured, new.unit), ratio)
