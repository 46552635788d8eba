"""Which requests no waiting can bring through: by figures that people and providers named, never by estimates."""

from typing import Final

from batcher.domain.lanes import TokenLimit
from batcher.domain.states import LimitSource

#: The code of such a dead letter.
NEVER_FITS: Final = "never_fits"


def is_never_admitted(stated_output: int, limit: TokenLimit | None, *, charges_maximum: bool) -> bool:
    """Whether a request whose body names this most output is charged more than a whole minute of the limit.

    Its prompt is an estimate and counts for nothing. `charges_maximum`: the lane is known to charge by `sum` or
    `max`; `produced` charges no maximum, and of an unknown rule nothing is certain.
    """
    return charges_maximum and limit is not None and stated_output > limit.tpm


def never_fits_message(stated_output: int, limit: TokenLimit) -> str:
    """The figures, for whoever finds the row among the dead letters."""
    whose = "as given" if limit.source is LimitSource.GIVEN else "as the provider announces"
    return (
        f"never sent: the most output it asks for, {stated_output:,} tokens, is charged in full and is more than "
        f"the {limit.tpm:,.15g} tokens a minute of its limit ({whose})"
    )
