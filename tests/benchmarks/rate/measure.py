"""What the provider's journal says about a run."""

import json
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from batcher.simulate.draws import digest
from tests.benchmarks.rate.cases import Case, Row

#: Neighbours may swap on the wire: requests go out on connections of their own.
_SWAPPED = 2
#: Seconds of budget that the provider saves up.
_BURST = 1.0


@dataclass(frozen=True)
class Measured:
    """Utilization by model; requests; the share refused; rows out of order; the largest excess over the limit."""

    utilization: dict[str, float]
    requests: int
    answered: int
    refused: float
    displaced: int
    #: In any window of w seconds: what was sent, refused or not, beyond limit · w/60; the burst is allowed.
    excess: float
    allowed: float

    def passes(self, case: Case, rows: int) -> bool:
        """Whether this is what the case asks for."""
        used = case.asked is None or min(self.utilization.values()) >= case.asked
        kept = not case.kills or self.excess <= self.allowed
        ordered = not case.ordered or self.displaced == 0
        return used and kept and ordered and self.refused <= case.refused and self.answered == rows


def measure(case: Case, rows: list[Row], journal: Path, results: Path) -> Measured:
    """Read what the provider wrote down and what the user got."""
    entries = sorted((json.loads(line) for line in journal.read_bytes().splitlines()), key=lambda each: each["at"])
    admitted = [each for each in entries if each["charge"] is not None]
    costs = _costs(case, rows, results)
    by_model = {name: [each for each in admitted if each["model"] == name] for name in case.rates}
    rate = max(case.rates.values())
    return Measured(
        utilization={
            name: _utilization(by_model[name], costs, per_second, case.settle)
            for name, per_second in case.rates.items()
        },
        requests=len(entries),
        answered=len({each["body"] for each in admitted if each["status"] == 200}),
        refused=1 - len(admitted) / len(entries),
        displaced=_displaced(admitted),
        excess=_excess([each["at"] for each in entries], rate),
        allowed=rate * _BURST,
    )


def _costs(case: Case, rows: list[Row], results: Path) -> dict[str, float]:
    """What each body, by the journal's name for it, takes of the binding limit; {}: one."""
    if case.rule != "produced":
        return {}
    usage = {}
    for line in results.read_text().splitlines():
        result = json.loads(line)
        usage[result["custom_id"]] = float(result["response"]["body"]["usage"]["total_tokens"])
    return {_name(row): usage[row["custom_id"]] for row in rows}


def _name(row: Row) -> str:
    body = json.dumps(row["body"]).encode()
    return digest(b"POST", row["url"].encode(), body).hex()


def _utilization(
    admitted: list[dict[str, Any]], costs: dict[str, float], per_second: float, settle: float
) -> float:
    """Of what was let in from `settle` seconds after the first to the last."""
    start, end = admitted[0]["at"] + settle, admitted[-1]["at"]
    in_tokens = per_second > 1_000  # only tokens come in thousands a second
    took = sum(
        costs.get(each["body"], each["charge"] if in_tokens else 1.0)
        for each in admitted
        if start < each["at"] <= end
    )
    return float(took / (per_second * (end - start)))


def _displaced(admitted: list[dict[str, Any]]) -> int:
    """Rows more than two places from where the file has them; request ids are in file order."""
    order = [int(each["client_request_id"].rsplit("-", 2)[1]) for each in admitted]
    return sum(abs(place - wanted) > _SWAPPED for place, wanted in zip(order, sorted(order), strict=True))


def _excess(times: list[float], rate: float) -> float:
    """The most that came in within any window beyond what the rate gives it."""
    levels = [number - rate * (at - times[0]) for number, at in enumerate(times)]
    lowest = accumulate(levels, min)
    return max(level + 1 - least for level, least in zip(levels, lowest, strict=True))
