"""Validate a job file without a store or a network, and estimate the tokens and the time that it will take."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from batcher.domain.errors import InputError
from batcher.domain.messages import Cause, Words
from batcher.domain.requests import BadLine, BadLines, ForeignLines, ParsedLine
from batcher.domain.settings import JobSettings, Limits, limits_for
from batcher.files.reading import read_lines
from batcher.files.source import Source
from batcher.policy.input.deduplication import differs_each_time, fingerprint, repeated_id, shares_answer
from batcher.policy.input.form_advice import STDIN
from batcher.policy.input.key_sets import KEY_BYTES, CompactKeyIndex
from batcher.policy.input.row_notes import NoteCounter
from batcher.policy.tokens.estimate import DEFAULT_OUTPUT_TOKENS, names_maximum
from batcher.services.jobs.line_chunks import checked_lines
from batcher.services.jobs.options import SubmitOptions, parse_options
from batcher.services.jobs.refused_lines import RefusedLines


class LineError(Struct, frozen=True, kw_only=True):
    """An invalid line."""

    line: int
    custom_id: str | None
    reason: str


class OutputBasis(StrEnum):
    """What the output tokens of a model are."""

    #: Every row names its maximum.
    MAXIMUM = "maximum"
    #: Some rows name none; the mean of this store's answers is expected of them.
    ANSWERS = "answers"
    #: Some rows name none, and there are no answers to go by.
    GUESS = "guess"


class Workload(Struct, kw_only=True):
    """The load of one model and url. Tokens are estimates for the rows that would be sent."""

    model: str
    url: str
    #: Valid rows, and those of them that would be sent because they do not share an earlier row's answer.
    requests: int = 0
    sent: int = 0
    input_tokens: int = 0
    #: The maximum, every answer at its full length; if rows name no maximum, what is expected.
    output_tokens: int = 0
    output_basis: OutputBasis = OutputBasis.MAXIMUM
    #: Answers without a stated maximum; what is expected of each, which is the mean of so many stored answers.
    unbounded: int = 0
    expected_each: int | None = None
    answers_seen: int = 0
    #: The limit that binds the model, rpm or tpm, and the seconds that all of its urls together take under it.
    binding: str | None = None
    seconds: float | None = None


class Repeats(Struct, kw_only=True):
    """How many rows share an earlier row's answer, and how many of them would each get another one."""

    rows: int = 0
    random: int = 0


class Checked(Struct, kw_only=True):
    """`batcher check --json`. Lanes run concurrently, so the slowest model decides the total time."""

    file: str
    lines: int
    valid: int
    invalid: int
    errors: list[LineError]
    #: Invalid lines of another form than a job file's, and what makes job lines of them.
    forms: list[ForeignLines]
    #: What is probably not meant as it is, in valid lines.
    notes: list[Words]
    #: What to do about the invalid lines, one piece of advice on each line; None: there are none.
    hint: Words | None
    models: list[Workload]
    repeats: Repeats
    seconds: float | None
    binding: str | None


#: Model → the mean output tokens of its answers, and how many answers there are.
MeanOutputs = Mapping[str, tuple[float, int]]


def check_file(
    source: Source,
    settings: JobSettings,
    options: SubmitOptions,
    *,
    mean_outputs: Callable[[], MeanOutputs] = dict,
) -> tuple[Checked, list[BadLines]]:
    """Validate every line; return what was found, and the invalid lines by reason.

    `mean_outputs` is called if rows name no maximum output, to know what to expect. Raises InputError if
    the file cannot be read or holds no line.
    """
    check = _Check(settings, options.keep_bad)
    for line in checked_lines(read_lines(source, name=source.name), parse_options(settings, options)):
        check.take(line)
    if not check.lines:
        raise InputError(f"{source.name} holds no request", source=source.name, hint="one JSON request per line")
    name, refused = source.name, check.refused
    models = sorted(check.models.values(), key=lambda each: (each.model, each.url))
    if any(load.unbounded for load in models):
        _expect_outputs(models, mean_outputs())
    _set_limits(models, settings)
    slowest = max(models, key=lambda each: -1 if each.seconds is None else each.seconds, default=None)
    valid = check.lines - refused.count
    skip = Cause.RUN_SKIPPING(file="-" if name == STDIN else name)
    checked = Checked(
        file=name,
        lines=check.lines,
        valid=valid,
        invalid=refused.count,
        errors=[LineError(line=bad.line, custom_id=bad.custom_id, reason=bad.reason) for bad in refused.kept],
        forms=refused.forms(name),
        notes=check.notes.sentences(),
        hint=refused.hint(name, valid=valid > 0, skip=skip) if refused.count else None,
        models=models,
        repeats=check.repeats,
        seconds=slowest.seconds if slowest else None,
        binding=slowest.binding if slowest else None,
    )
    return checked, refused.groups


class _Check:
    """The findings so far. It keeps about 60 bytes per row, however long the rows are."""

    def __init__(self, settings: JobSettings, keep: int | None) -> None:
        self._mode = settings.cache
        self._ids = CompactKeyIndex()
        self._bodies = CompactKeyIndex()
        self.lines = 0
        self.refused = RefusedLines(keep=keep)
        self.notes = NoteCounter()
        self.models: dict[tuple[str, str], Workload] = {}
        self.repeats = Repeats()

    def take(self, line: ParsedLine | BadLine) -> None:
        """Count one line."""
        self.lines += 1
        if isinstance(line, BadLine):
            self.refused.add([line])
            return
        first = self._ids.add(sha256(line.custom_id.encode()).digest()[:KEY_BYTES], line.line)
        if first is not None:
            self.refused.add([repeated_id(line, first=first)])
            return
        self._count(line)
        self.notes.add([line])

    def _count(self, line: ParsedLine) -> None:
        key = (line.model, line.path)
        load = self.models.setdefault(key, Workload(model=line.model, url=line.path))
        load.requests += 1
        if self._repeats_another(line):
            self.repeats.rows += 1
            self.repeats.random += differs_each_time(line.path)
            return
        load.sent += 1
        load.input_tokens += line.est_input
        if names_maximum(line.body, line.est_output):
            load.output_tokens += line.est_output
        else:
            load.unbounded += max(1, line.est_output // DEFAULT_OUTPUT_TOKENS)

    def _repeats_another(self, line: ParsedLine) -> bool:
        return (
            shares_answer(line, self._mode)
            and self._bodies.add(fingerprint(line.path, line.body), line.line) is not None
        )


def _expect_outputs(models: Iterable[Workload], means: MeanOutputs) -> None:
    """Add what is expected of the answers without a stated maximum."""
    for load in models:
        if load.unbounded:
            mean, load.answers_seen = means.get(load.model, (DEFAULT_OUTPUT_TOKENS, 0))
            load.expected_each = round(mean)
            load.output_tokens += round(mean * load.unbounded)
            load.output_basis = OutputBasis.ANSWERS if load.answers_seen else OutputBasis.GUESS


def _set_limits(models: Iterable[Workload], settings: JobSettings) -> None:
    """Set the binding limit of each model. A limit belongs to the model, so all its urls share it."""
    by_model: dict[str, list[Workload]] = {}
    for each in models:
        by_model.setdefault(each.model, []).append(each)
    for model, loads in by_model.items():
        tokens = sum(load.input_tokens + load.output_tokens for load in loads)
        bound = binding_limit(
            limits_for(settings, model), requests=sum(load.sent for load in loads), tokens=tokens
        )
        for load in loads:
            load.binding, load.seconds = bound


def binding_limit(limits: Limits, *, requests: int, tokens: int) -> tuple[str | None, float | None]:
    """Return the limit per minute that takes longest, and the seconds; (None, None) if no limit is given.

    Tokens are charged as prompt plus maximum (or else expected) output, as a lane does until it has learned the
    provider's rule.
    """
    times = []
    if limits.rpm is not None:
        times.append((requests * 60 / limits.rpm, "rpm"))
    if limits.tpm is not None:
        times.append((tokens * 60 / limits.tpm, "tpm"))
    if not times:
        return None, None
    seconds, binding = max(times)
    return binding, round(seconds, 1)
