"""Rate limits as people write them, and how the limits of two sources are merged."""

import re
from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct, field

from batcher.domain.errors import ConfigError
from batcher.domain.settings import Limits, limits_over

#: Digits grouped by `_`, or by `,` in threes (so that a decimal comma is an error, not a factor of ten); K and M
#: as on the providers' own pages of limits.
_FIGURE = re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)(\.[0-9]+)?([kKmM]?)")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


class LimitLayer(Struct, frozen=True, kw_only=True):
    """The limits that one source gives: those for every model, and those for models by name."""

    plain: Limits = Limits()
    models: dict[str, Limits] = field(default_factory=dict)


def over(upper: LimitLayer, lower: LimitLayer) -> LimitLayer:
    """Merge two sources number by number: `upper` if it gives the number, else `lower`."""
    names = [*lower.models, *(name for name in upper.models if name not in lower.models)]
    none = Limits()
    return LimitLayer(
        plain=limits_over(upper.plain, lower.plain),
        models={name: limits_over(upper.models.get(name, none), lower.models.get(name, none)) for name in names},
    )


def read_limit_flags(rpm: Sequence[str] | None, tpm: Sequence[str] | None) -> LimitLayer:
    """Read `--rpm` and `--tpm`: each is "N" or "MODEL=N" and can be repeated."""
    requests = _read_flag(rpm or (), "--rpm")
    tokens = _read_flag(tpm or (), "--tpm")
    names = [name for name in dict.fromkeys([*requests, *tokens]) if name is not None]
    return LimitLayer(
        plain=Limits(rpm=requests.get(None), tpm=tokens.get(None)),
        models={name: Limits(rpm=requests.get(name), tpm=tokens.get(name)) for name in names},
    )


def limited_models(rpm: Sequence[str] | None, tpm: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return each model that `--rpm` and `--tpm` name, with the flag that names it."""
    flags = {"--rpm": read_limit_flags(rpm, None), "--tpm": read_limit_flags(None, tpm)}
    return [(flag, model) for flag, layer in flags.items() for model in layer.models]


def read_figure(written: str) -> float | None:
    """Read a positive number such as 500, 0.5, 200_000, 200,000, 200k or 2M; None if it is anything else."""
    match = _FIGURE.fullmatch(written.strip())
    if match is None:
        return None
    whole, fraction, unit = match.groups(default="")
    figure = float(Decimal(whole.replace(",", "").replace("_", "") + fraction) * _UNITS[unit.lower()])
    return figure if 0 < figure < float("inf") else None


def _read_flag(values: Sequence[str], flag: str) -> dict[str | None, float]:
    """Read one flag by model; the key None stands for every model."""
    found: dict[str | None, float] = {}
    for value in values:
        model, figure = _split(value, flag)
        if found.setdefault(model, figure) != figure:
            whose = "" if model is None else f" for {model}"
            raise ConfigError(f"{flag} is given twice{whose}: {found[model]:.15g} and {figure:.15g}")
    return found


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
