"""Numbers on the command line: what is none is refused in our words."""

from typing import Any, NoReturn

import click

from batcher.domain.errors import UsageError

_VAST = 2**31


class Whole(click.IntRange):
    """A whole number, within bounds if there are any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's
        """Raises UsageError."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            _refuse(value, param, f"a whole number{_bounds(self.min, self.max, str(value))}")


class Number(click.types.FloatParamType):
    """Any number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's
        """Raises UsageError."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            _refuse(value, param, "a number")


def _bounds(least: float | None, most: float | None, value: str) -> str:
    if least is None or most is None:
        return ""
    # SQLite's largest integer is a bound that nobody needs to read who has not passed it.
    is_too_large = value.isdigit() and int(value[:40]) > most
    return f" from {least} up" if most >= _VAST and not is_too_large else f" from {least} to {most}"


def _refuse(value: object, param: click.Parameter | None, wanted: str) -> NoReturn:
    raise UsageError(f'{_name(param)} takes {wanted}, not "{value}"', hint=_hint(param))


def _name(param: click.Parameter | None) -> str:
    if param is None:
        return "the value"
    return max(param.opts, key=len) if isinstance(param, click.Option) else (param.metavar or "it").strip("[].")


def _hint(param: click.Parameter | None) -> str | None:
    """Requests are named by numbers alone, which a person may not know."""
    return "`batcher dlq list` shows the numbers" if param is not None and _name(param) == "REQUEST" else None
