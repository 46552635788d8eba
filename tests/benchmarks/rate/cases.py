"""The cases of the table: a provider, a job, how the user runs it, and what must come of it."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

#: Characters of a token, as the simulated provider counts prompts, and its tokens around a message.
_CHARACTERS, _OVERHEAD = 4, 7


@dataclass(frozen=True, kw_only=True)
class Case:
    """`rows` is told how many seconds of budget the job shall take."""

    name: str
    #: Arguments of `batcher simulate`, and of `batcher run`.
    provider: tuple[str, ...]
    run: tuple[str, ...] = ()
    rows: Callable[[float], list[Row]]
    #: Model → units a second of its binding limit.
    rates: dict[str, float]
    #: Counted in tokens under this rule; None: in requests.
    rule: str | None = None
    #: Seconds at the start that do not count for the utilization.
    settle: float = 2.0
    asked: float | None
    #: Largest share of refusals.
    refused: float
    ordered: bool = False
    kills: int = 0


def chat(number: int, *, model: str = "m", prompt: int = 12, output: int | None = None) -> Row:
    """A row of about so many tokens of prompt, unlike any other."""
    text = (f"row {number}: " + "lorem ipsum " * prompt)[: max(12, (prompt - _OVERHEAD) * _CHARACTERS)]
    body: Row = {"model": model, "messages": [{"role": "user", "content": text}]}
    if output is not None:
        body["max_tokens"] = output
    return {"custom_id": f"{model}-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def requests(model: str, per_minute: float) -> Callable[[float], list[Row]]:
    """Small rows."""
    return lambda seconds: [chat(number, model=model) for number in range(int(per_minute / 60 * seconds))]


def tokens(sizes: Callable[[random.Random], tuple[int, int]], rule: str) -> Callable[[float], list[Row]]:
    """Rows of (prompt, output) for so many seconds at 300,000 tokens a minute."""

    def rows(seconds: float) -> list[Row]:
        draw, left = random.Random(7), 5_000 * seconds
        made: list[Row] = []
        while left > 0:
            prompt, output = sizes(draw)
            left -= CHARGES[rule](prompt, output)
            made.append(chat(len(made), prompt=prompt, output=output))
        return made

    return rows


CHARGES: dict[str, Callable[[int, int], int]] = {
    "sum": lambda prompt, output: prompt + output,
    "max": max,
    "produced": lambda prompt, output: prompt + min(24, output),
}


def _mixed(draw: random.Random) -> tuple[int, int]:
    total = draw.choice((900, 1_400, 2_000))
    return int(total * 0.4), int(total * 0.6)


def _long(draw: random.Random) -> tuple[int, int]:
    """A fifth very long, up to nearly all that the provider saves up."""
    if draw.random() < 0.2:
        return draw.randint(1_000, 2_000), draw.randint(1_500, 3_500)
    return draw.randint(50, 300), draw.randint(100, 600)


def _two_models(seconds: float) -> list[Row]:
    return [*requests("slow", 120)(seconds), *requests("fast", 1_200)(seconds)]


def _token_case(name: str, rule: str, **more: Any) -> Case:
    return Case(
        **{
            "name": name,
            "provider": ("--tpm", "300000", "--charge", rule),
            "run": ("--tpm", "300000"),
            "rows": tokens(_mixed, rule),
            "rates": {"m": 5_000.0},
            "rule": rule,
            "settle": 5.0,
            "asked": 0.95,
            "refused": 0.005,
            **more,
        }
    )


def _cases() -> Iterator[Case]:
    yield Case(
        name="rpm",
        provider=("--rpm", "1200"),
        run=("--rpm", "1200"),
        rows=requests("m", 1_200),
        rates={"m": 20.0},
        asked=0.98,
        refused=0.0,
    )
    for rule in CHARGES:
        yield _token_case(f"tpm-{rule}", rule)
    yield Case(
        name="headers",
        provider=("--rpm", "1500"),
        rows=requests("m", 1_500),
        rates={"m": 25.0},
        settle=5.0,
        asked=0.95,
        refused=0.01,
    )
    yield _token_case("headers-tpm", "max", run=(), refused=0.01)
    yield Case(
        name="blind",
        provider=("--rpm", "1800", "--no-headers", "--no-retry-after"),
        rows=lambda seconds: requests("m", 1_800)(seconds + 20),
        rates={"m": 30.0},
        settle=30.0,
        asked=0.85,
        refused=0.05,
    )
    yield _token_case("long", "max", rows=tokens(_long, "max"), ordered=True)
    yield Case(
        name="models",
        provider=("--rpm", "fast=1200", "--rpm", "slow=120"),
        run=("--rpm", "fast=1200", "--rpm", "slow=120"),
        rows=_two_models,
        rates={"fast": 20.0, "slow": 2.0},
        asked=0.95,
        refused=0.0,
    )
    yield Case(
        name="killed",
        provider=("--rpm", "1200"),
        run=("--rpm", "1200"),
        rows=lambda seconds: requests("m", 1_200)(seconds + 15),
        rates={"m": 20.0},
        asked=None,
        refused=0.0,
        kills=5,
    )


CASES = {case.name: case for case in _cases()}
