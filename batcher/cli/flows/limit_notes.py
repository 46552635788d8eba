"""Say which limits of single models limit nothing, because no row is for such a model."""

from collections.abc import Sequence
from difflib import get_close_matches

from batcher.cli.terminal.output import note
from batcher.config import Flags, limited_models
from batcher.policy.privacy.sanitize import one_line

#: Models that a note lists at most.
_LISTED = 5
_NAME_WIDTH = 60


def say_limits_without_model(models: Sequence[str], flags: Flags) -> None:
    """Say which of the limits of single models name none of these models."""
    for flag, model in limited_models(flags):
        if model in models:
            continue
        near = get_close_matches(model, models, n=1)
        shown = ", ".join(one_line(each or "(no model)", _NAME_WIDTH) for each in models[:_LISTED])
        more = f" and {len(models) - _LISTED} more" if len(models) > _LISTED else ""
        meant = f"; did you mean {flag} {near[0]}=N?" if near else ""
        note(f"note: {flag} {model}=… limits nothing: no row is for that model, only for {shown}{more}{meant}")
