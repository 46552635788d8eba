"""`python -m tests.benchmarks.rate [CASE…] [--seconds S]`: at the limit and never over it, as a table."""

import argparse
import sys

from tests.benchmarks.rate.admission import ASKED_US, costs
from tests.benchmarks.rate.cases import CASES, Case
from tests.benchmarks.rate.measure import Measured
from tests.benchmarks.rate.running import run_case

_HEAD = ("case", "asked", "measured", "refused: asked", "measured", "requests", "verdict")
#: Beside the cases: what admission costs.
_ADMISSION = "admission"
_WIDTHS = (12, 22, 28, 14, 10, 9, 8)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rate", description=__doc__)
    known = [*CASES, _ADMISSION]
    parser.add_argument("case", nargs="*", help=f"any of: {', '.join(known)}")
    parser.add_argument("--seconds", type=float, default=45.0, help="how long a case runs, about")
    asked = parser.parse_args()
    unknown = [name for name in asked.case if name not in known]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(known)}")
    _print(_HEAD)
    chosen = asked.case or known
    verdicts = [_show(CASES[name], asked.seconds) for name in chosen if name in CASES]
    if _ADMISSION in chosen:
        verdicts.append(_show_admission())
    return 0 if all(verdicts) else 1


def _show(case: Case, seconds: float) -> bool:
    measured, rows = run_case(case, seconds)
    passes = measured.passes(case, rows)
    _print(
        (
            case.name,
            _asked(case, measured),
            _found(case, measured),
            f"<= {case.refused:.1%}",
            f"{measured.refused:.2%}",
            str(measured.requests),
            "ok" if passes else "SHORT",
        )
    )
    return passes


def _show_admission() -> bool:
    found = costs()
    for each in found:
        verdict = "ok" if each.admission <= ASKED_US else "SHORT"
        measured = f"{each.admission:.1f} us, {each.state}"
        _print((_ADMISSION, f"<= {ASKED_US:.0f} us of CPU", measured, "", "", "", verdict))
    return all(each.admission <= ASKED_US for each in found)


def _asked(case: Case, measured: Measured) -> str:
    if case.asked is None:
        return f"excess <= {measured.allowed:.0f}"
    return f">= {case.asked:.2f}{', in order' if case.ordered else ''}"


def _found(case: Case, measured: Measured) -> str:
    if case.asked is None:
        return f"excess {measured.excess:.1f}"
    shares = ", ".join(f"{share:.3f}" for share in measured.utilization.values())
    return f"{shares}, {measured.displaced} displaced" if case.ordered else shares


def _print(cells: tuple[str, ...]) -> None:
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    sys.stdout.write(f"{line.rstrip()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
