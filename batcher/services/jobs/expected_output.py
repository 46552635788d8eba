"""How many output tokens an answer without a stated maximum is expected to have, from the answers of the store."""

from collections.abc import Mapping

from batcher.domain.errors import StoreError
from batcher.services.store.open_store import exists, open_existing
from batcher.store.reports import answer_lengths


def mean_outputs(path: str, *, but_not: str) -> Mapping[str, tuple[float, int]]:
    """Return the mean output tokens of each model's stored answers, and their number.

    Answers of the endpoint `but_not` do not count. A store that cannot be read has none: this is only an estimate.
    """
    if not exists(path):
        return {}
    try:
        with open_existing(path) as database, database.read() as connection:
            found = answer_lengths.by_model(connection, but_not=but_not)
    except StoreError:
        return {}
    return {model: (each.mean, each.answers) for model, each in found.items()}
