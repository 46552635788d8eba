"""Everything that a seed determines: the jobs, the provider's faults, what people do, and where things break."""

from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.settings import Limits
from tests.support.providers import chat

#: Virtual seconds during which faults occur; afterwards every job must end.
SHORTEST, LONGEST = 20.0, 60.0
MODELS = ("m1", "m2")
#: The part of a body that an edit removes: with it the provider replies 400.
POISON = "logit_bias"


class Fate(StrEnum):
    """The fate of one request, whether the provider admitted it or it never arrived."""

    ANSWER = "answer"
    SLOW = "slow"
    SERVER_ERROR = "500"
    PAGE = "502 page"
    UNAVAILABLE = "503"
    ERROR_IN_200 = "error in 200"
    NO_CHOICES = "no choices"
    HALF_JSON = "half a reply"
    CUT = "cut"
    STALE = "stale connection"
    TIMEOUT = "timeout"
    QUEUED = "timeout in the server's queue"
    REFUSED = "429"
    OVERLOADED = "503 with a time"
    BAD_REQUEST = "400"
    BAD_KEY = "401"
    NO_CREDIT = "429 no credit"
    UNREACHABLE = "connection refused"
    LOCAL = "no file descriptors"
    FORBIDDEN_ROW = "403 for one row"
    UNKNOWN_ROW = "404 for one row"
    KEY_ROW = "401 for one row"
    SAME_FOR_ALL = "400 for all rows of a model"
    NO_BACKEND_PAGE = "404 page without a backend"
    NO_BACKEND_REDIRECT = "302 without a backend"
    NO_BACKEND_NOTHING = "an empty 200 without a backend"


#: Faults of single requests, and how frequent they are.
PASSING = {
    Fate.SLOW: 3,
    Fate.SERVER_ERROR: 3,
    Fate.PAGE: 1,
    Fate.UNAVAILABLE: 2,
    Fate.ERROR_IN_200: 1,
    Fate.NO_CHOICES: 1,
    Fate.HALF_JSON: 1,
    Fate.CUT: 2,
    Fate.STALE: 2,
    Fate.TIMEOUT: 1,
    Fate.REFUSED: 4,
    Fate.OVERLOADED: 2,
    Fate.LOCAL: 1,
}
#: Faults of all requests for some time.
SPELLS = (Fate.UNREACHABLE, Fate.UNAVAILABLE, Fate.BAD_KEY, Fate.NO_CREDIT, Fate.REFUSED, Fate.SLOW)
#: Refusals of one row, whoever sends it and however often.
OF_ONE_ROW = (Fate.FORBIDDEN_ROW, Fate.UNKNOWN_ROW, Fate.KEY_ROW)
#: What a gateway says for some time because nothing is behind it.
NO_BACKEND = (Fate.NO_BACKEND_PAGE, Fate.NO_BACKEND_REDIRECT, Fate.NO_BACKEND_NOTHING)

#: Replies whose fault other rows decide: all but answers, refusals by a limit, and faults of the connection.
UNDECIDED = frozenset(Fate) - {
    Fate.ANSWER,
    Fate.SLOW,
    Fate.REFUSED,
    Fate.OVERLOADED,
    Fate.CUT,
    Fate.STALE,
    Fate.TIMEOUT,
    Fate.QUEUED,
    Fate.UNREACHABLE,
    Fate.LOCAL,
}


class Spell(Struct, frozen=True):
    """A period during which every request has the same fate."""

    fate: Fate
    start: float
    end: float


class Doing(StrEnum):
    """Actions of people and systems besides the runner."""

    SUBMIT = "submit"
    RUN_BESIDE = "run beside"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    RETRY_EDITED = "retry edited"
    DISCARD = "discard"
    DELETE = "delete"
    STATUS = "status"
    DRAIN = "drain"
    STOP = "stop"
    KILL = "kill"
    POWER_CUT = "power cut"


WEIGHTS = {
    Doing.SUBMIT: 3,
    Doing.RUN_BESIDE: 2,
    Doing.RESUME: 2,
    Doing.CANCEL: 2,
    Doing.RETRY: 3,
    Doing.RETRY_EDITED: 3,
    Doing.DISCARD: 1,
    Doing.DELETE: 1,
    Doing.STATUS: 3,
    Doing.DRAIN: 2,
    Doing.STOP: 2,
    Doing.KILL: 4,
    Doing.POWER_CUT: 1,
}


class Deed(Struct, frozen=True):
    """One action at a given time; `share` selects its target."""

    at: float
    what: Doing
    share: float


class DiskFault(StrEnum):
    """A commit that raises; it may be on disk nevertheless."""

    LOST = "lost"
    THERE = "there"


class Scenario(Struct, frozen=True, kw_only=True):
    """Everything that is drawn before the first step. `random` supplies later draws: jitter, latency."""

    seed: int
    random: Random
    horizon: float
    #: The provider's limits, and those that the program is given.
    limits: Limits
    given: Limits
    names_time: bool
    latency: float
    #: How many requests the provider works on at once; the others wait in silence. None: all of them.
    slots: int | None
    timeout: float
    max_wait: float
    concurrency: int | None
    #: Seconds a commit takes.
    disk: float
    #: Whether the disk is slow, so that batches are flushed concurrently: see `store/sqlite/writer_thread.py`.
    flushes_beside: bool
    #: Bodies of the jobs, in the order of submission; the first job exists at the start.
    jobs: Sequence[Sequence[dict[str, Any]]]
    #: By the text of a row: the fates of its sendings in order; afterwards it is answered.
    fates: dict[str, list[Fate]]
    #: By the text of a row: its refusal, which is about that row alone.
    refused_alone: dict[str, Fate]
    #: A model whose every request is refused in the same way.
    broken_model: str | None
    #: The row that kills every process that sends it.
    killer: str | None
    spells: Sequence[Spell]
    deeds: Sequence[Deed]
    #: For the n-th process, the step at which it dies; 0: it does not.
    deaths: Sequence[int]
    #: By the number of the commit, over all processes.
    disk_faults: dict[int, DiskFault]
    #: (at, seconds) by which the wall clock jumps.
    clock_steps: Sequence[tuple[float, float]]


def draw(seed: int) -> Scenario:
    """Draw the scenario of a seed."""
    random = Random(seed)
    horizon = random.uniform(SHORTEST, LONGEST)
    limits, given = _limits(random)
    texts = [f"row {number}" for number in range(random.randint(4, 24))]
    broken = _broken_model(Random(f"broken {seed}"))
    # Enough rows of it to show that all fail alike.
    more = [f"row {number}" for number in range(100, 120)] if broken else []
    drawn = Scenario(
        seed=seed,
        random=random,
        horizon=horizon,
        limits=limits,
        given=given,
        names_time=random.random() < 0.7,
        latency=random.choice((0.05, 0.5, 2.0)),
        slots=None,
        timeout=random.choice((10.0, 30.0)),
        max_wait=random.choice((20.0, 120.0, 3600.0)),
        concurrency=random.choice((1, 3, 8, None)),
        disk=random.choice((0.0, 0.0, 0.002, 0.05, 0.4)),
        # From a separate generator, so that the other draws of a seed stay the same.
        flushes_beside=Random(f"beside {seed}").random() < 0.5,
        jobs=[
            [
                *_bodies(random, texts),
                *(chat(text, model=broken or "", max_tokens=20) for text in more if not place),
            ]
            for place in range(3)
        ],
        fates={text: _fates(random) for text in texts} | {text: [] for text in more},
        refused_alone=_refused_alone(Random(f"alone {seed}"), texts),
        broken_model=broken,
        killer=random.choice(texts) if random.random() < 0.08 else None,
        spells=[
            *(_spell(random, horizon) for _ in range(random.choice((0, 0, 1, 1, 2)))),
            *_without_backend(Random(f"gateway {seed}"), horizon),
        ],
        deeds=sorted((_deed(random, horizon) for _ in range(random.randint(0, 8))), key=lambda deed: deed.at),
        deaths=[_death(random) for _ in range(3)],
        disk_faults=_disk_faults(random),
        clock_steps=_clock_steps(random, horizon),
    )
    queue = Random(f"queue {seed}")
    return _with_queue(drawn, queue) if queue.random() < 0.1 else drawn


def _with_queue(drawn: Scenario, random: Random) -> Scenario:
    """Return the scenario with a server that works on a few requests at once, without limits, and enough rows."""
    texts = [f"row {number}" for number in range(200, 230)]
    first, *others = drawn.jobs
    return replace(
        drawn,
        slots=random.choice((1, 2, 4)),
        limits=Limits(),
        given=Limits(),
        latency=2.0,
        timeout=10.0,
        concurrency=random.choice((8, 16, None)),
        jobs=[[*first, *(_body(text) for text in texts)], *others],
        fates=drawn.fates | {text: [] for text in texts},
    )


def _limits(random: Random) -> tuple[Limits, Limits]:
    """Draw the provider's limits and those that the program is given: the same, or none, to be discovered."""
    rpm = random.choice((None, 30.0, 120.0, 600.0, 6000.0))
    tpm = random.choice((None, None, 6_000.0, 60_000.0))
    limits = Limits(rpm=rpm, tpm=tpm)
    return limits, limits if random.random() < 0.7 else Limits()


def _bodies(random: Random, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Draw the rows of one job. Equal texts give equal bodies, so rows and jobs share answers."""
    chosen = random.choices(texts, k=random.randint(2, 6)) + list(texts[: random.randint(1, len(texts))])
    return [_body(text) for text in chosen]


def _body(text: str) -> dict[str, Any]:
    number = int(text.split()[1])
    poison: dict[str, Any] = {POISON: {}} if number % 9 == 4 else {}
    return chat(text, model=MODELS[number % 5 == 3], max_tokens=20, **poison)


def _fates(random: Random) -> list[Fate]:
    """Draw a few fates: a row that has all of them and one outage must still be answered."""
    count = random.choices((0, 1, 2), weights=(7, 2, 1))[0]
    return random.choices(list(PASSING), weights=list(PASSING.values()), k=count)


def _spell(random: Random, horizon: float) -> Spell:
    start = random.uniform(0, horizon)
    return Spell(random.choice(SPELLS), start, min(horizon, start + random.choice((1.0, 8.0, 40.0))))


def _without_backend(random: Random, horizon: float) -> list[Spell]:
    if random.random() < 0.6:
        return []
    start = random.uniform(0, horizon)
    return [Spell(random.choice(NO_BACKEND), start, min(horizon, start + random.choice((1.0, 5.0, 20.0))))]


def _refused_alone(random: Random, texts: Sequence[str]) -> dict[str, Fate]:
    share = random.choice((0.0, 0.0, 0.1, 0.3))
    return {text: random.choice(OF_ONE_ROW) for text in texts if random.random() < share}


def _broken_model(random: Random) -> str | None:
    return random.choice(MODELS) if random.random() < 0.15 else None


def _deed(random: Random, horizon: float) -> Deed:
    what = random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
    return Deed(random.uniform(0, horizon), what, random.random())


def _death(random: Random) -> int:
    return 0 if random.random() < 0.4 else 1 + int(random.expovariate(1 / 60))


def _disk_faults(random: Random) -> dict[int, DiskFault]:
    if random.random() < 0.7:
        return {}
    return {1 + int(random.expovariate(1 / 50)): random.choice(list(DiskFault)) for _ in range(2)}


def _clock_steps(random: Random, horizon: float) -> list[tuple[float, float]]:
    if random.random() < 0.8:
        return []
    return [(random.uniform(0, horizon), random.choice((-3600.0, 3600.0)))]
