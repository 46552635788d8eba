"""How long answers of each model were, from the newest attempts."""

from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy import Connection, func, select

from batcher.domain.states import AttemptKind
from batcher.store.schema import attempts, endpoints, lanes

#: How many attempts are looked at, the newest first.
_LOOKED_AT = 20_000


class AnswerLength(Struct, frozen=True, kw_only=True):
    """The mean output tokens of a model's answers, and how many answers that is of."""

    mean: float
    answers: int


def by_model(connection: Connection, *, but_not: str) -> Mapping[str, AnswerLength]:
    """Return the mean output tokens of each model, without the answers of the endpoint `but_not`."""
    newest = (
        select(attempts.c.lane_id, attempts.c.output_tokens, attempts.c.kind)
        .order_by(attempts.c.request_id.desc())
        .limit(_LOOKED_AT)
        .subquery()
    )
    query = (
        select(lanes.c.model, func.avg(newest.c.output_tokens).label("mean"), func.count().label("answers"))
        .select_from(newest)
        .join(lanes, lanes.c.id == newest.c.lane_id)
        .join(endpoints, endpoints.c.id == lanes.c.endpoint_id)
        .where(
            newest.c.kind == AttemptKind.SUCCESS.value,
            newest.c.output_tokens.is_not(None),
            endpoints.c.base_url != but_not,
        )
        .group_by(lanes.c.model)
    )
    return {row.model: AnswerLength(mean=row.mean, answers=row.answers) for row in connection.execute(query)}
