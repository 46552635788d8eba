"""Rate limits as people write them, and as a job's settings hold them."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from batcher.config.setting import Figures
from batcher.domain.errors import ConfigError
from batcher.domain.settings import Limits

#: Digits grouped by `_`, or by `,` in threes (so that a decimal comma is an error, not a factor of ten); K and M
#: as on the providers' own pages of limits.
_FIGURE = re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)(\.[0-9]+)?([kKmM]?)")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def limits_of(figures: Mapping[str, Figures]) -> tuple[Limits, dict[str, Limits]]:
    """Return the limits of every model, and those of models by name. `figures`: by the name of the limit."""
    models = dict.fromkeys(model for of_limit in figures.values() for model in of_limit if model is not None)
    return _of_model(figures, None), {model: _of_model(figures, model) for model in models}


def figures_of(name: str, plain: Limits, models: Mapping[str, Limits]) -> Figures:
    """Return a limit's figure for every model and for models by name: what `limits_of` was given."""
    each = [(None, plain), *models.items()]
    return {model: figure for model, limits in each if (figure := getattr(limits, name)) is not None}


def read_figures(values: Sequence[str], flag: str) -> Figures:
    """Read the values of one flag, each "N" or "MODEL=N"."""
    found: Figures = {}
    for value in values:
        model, figure = _split(value, flag)
        if found.setdefault(model, figure) != figure:
            whose = "" if model is None else f" for {model}"
            raise ConfigError(f"{flag} is given twice{whose}: {found[model]:.15g} and {figure:.15g}")
    return found


def read_figure(written: str) -> float | None:
    """Read a positive number such as 500, 0.5, 200_000, 200,000, 200k or 2M; None if it is anything else."""
    match = _FIGURE.fullmatch(written.strip())
    if match is None:
        return None
    whole, fraction, unit = match.groups(default="")
    figure = float(Decimal(whole.replace(",", "").replace("_", "") + fraction) * _UNITS[unit.lower()])
    return figure if 0 < figure < float("inf") else None


def _of_model(figures: Mapping[str, Figures], model: str | None) -> Limits:
    return Limits(**{name: of_limit[model] for name, of_limit in figures.items() if model in of_limit})


def _split(value: str, flag: str) -> tuple[str | None, float]:
    """Split at the last `=`, because a model's name may contain one and a number cannot."""
    model, sign, written = value.rpartition("=")
    if sign and not model.strip():
        raise ConfigError(f"{flag} {value!r} names no model before =", hint=_example(flag))
    figure = read_figure(written)
    if figure is None:
        raise ConfigError(f"{flag} must be a number greater than 0, not {written!r}", hint=_example(flag))
    return (model.strip() if sign else None), figure


def _example(flag: str) -> str:
    return f"write {flag} 500 for every model, or {flag} gpt-4o-mini=500 for one; 200_000 may be written 200k"
