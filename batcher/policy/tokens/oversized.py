"""Requests that can never be admitted, however long they wait: judged by stated figures, never by estimates."""

from typing import Final

from batcher.domain.lanes import TokenLimit
from batcher.domain.states import LimitSource

#: The code of such a dead letter.
NEVER_FITS: Final = "never_fits"


def is_never_admitted(stated_output: int, limit: TokenLimit | None, *, charges_maximum: bool) -> bool:
    """Return whether a request with this maximum output is charged more than a whole minute of the limit.

    Its prompt is an estimate and does not count. `charges_maximum`: the lane is known to charge by `sum` or `max`;
    `produced` does not charge the maximum, and with an unknown rule nothing is certain.
    """
    return charges_maximum and limit is not None and stated_output > limit.tpm


def never_fits_message(stated_output: int, limit: TokenLimit) -> str:
    """Return the message of the dead letter, with the figures."""
    whose = "as given" if limit.source is LimitSource.GIVEN else "as the provider announces"
    return (
        f"never sent: the most output it asks for, {stated_output:,} tokens, is charged in full and is more than "
        f"the {limit.tpm:,.15g} tokens a minute of its limit ({whose})"
    )
