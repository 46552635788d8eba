"""One value at the door: its type and its range.

Every check takes the value as it came and `where` it came from ("--timeout", "batcher.toml: retry.timeout"), and
gives the value in its final type or raises a ConfigError that begins with `where`. Where the value may be a key in
the wrong place, the error does not repeat it.
"""

import math
import re
from collections.abc import Callable
from typing import TypeVar

from batcher.domain.errors import ConfigError
from batcher.domain.states import CacheMode
from batcher.policy.urls import normalize_base_url

T = TypeVar("T")
Check = Callable[[object, str], T]

MOST_ATTEMPTS = 100
#: A year. Longer waits are slips of the keyboard, and would not fit the store's microseconds forever.
MOST_SECONDS = 31_536_000

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "a string"),
    (int, "a whole number"),
    (float, "a number"),
    (dict, "a table"),
    (list, "a list"),
)


def kind_of(value: object) -> str:
    """What TOML calls the value's type, for an error that must not repeat the value."""
    return next((word for kind, word in _KINDS if isinstance(value, kind)), "a date or time")


def optional(value: object, check: Check[T], where: str) -> T | None:
    """The checked value; None where none is given."""
    return None if value is None else check(value, where)


def number(value: object, where: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where} must be a number, not {kind_of(value)}")
    try:
        plain = float(value)
    except OverflowError:
        plain = math.inf
    if not math.isfinite(plain):
        raise ConfigError(f"{where} must be a finite number")
    return plain


def positive(value: object, where: str) -> float:
    """A number above 0: requests or tokens a minute, dollars."""
    plain = number(value, where)
    if plain <= 0:
        raise ConfigError(f"{where} must be greater than 0, not {plain:.15g}")
    return plain


def attempts(value: object, where: str) -> int:
    """From 1 to 100 attempts."""
    count = _whole(value, where)
    if not 1 <= count <= MOST_ATTEMPTS:
        raise ConfigError(f"{where} must be from 1 to {MOST_ATTEMPTS}, not {count:.15g}")
    return count


def concurrency(value: object, where: str) -> int:
    """At least one request in flight."""
    count = _whole(value, where)
    if count < 1:
        raise ConfigError(f"{where} must be at least 1, not {count:.15g}", hint="leave it out to let it adapt")
    return count


def timeout(value: object, where: str) -> float:
    """Seconds, above 0."""
    seconds = positive(value, where)
    return _within_a_year(seconds, where)


def wait(value: object, where: str) -> float:
    """Seconds, 0 included."""
    seconds = number(value, where)
    if seconds < 0:
        raise ConfigError(f"{where} must be 0 or more seconds, not {seconds:.15g}")
    return _within_a_year(seconds, where)


def switch(value: object, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false, not {kind_of(value)}")
    return value


def text(value: object, where: str) -> str:
    """A string with something in it."""
    if not isinstance(value, str):
        raise ConfigError(f"{where} must be a string, not {kind_of(value)}")
    if not value.strip():
        raise ConfigError(f"{where} is empty", hint="give it a value or leave it out")
    return value.strip()


def cache_mode(value: object, where: str) -> CacheMode:
    """One of the three modes."""
    word = text(value, where)
    try:
        return CacheMode(word)
    except ValueError:
        raise ConfigError(f"{where} must be all, deterministic or off, not {word!r}") from None


def base_url(value: object, where: str) -> str:
    """A base URL, normalized."""
    given = text(value, where)
    try:
        return normalize_base_url(given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error


def variable(value: object, where: str) -> str:
    """The name of an environment variable. What is none may be a key pasted in its place: it is not repeated."""
    name = text(value, where)
    if not _VARIABLE.fullmatch(name):
        raise ConfigError(
            f"{where} takes the name of an environment variable (letters, digits and _), not the key itself",
            hint="export the key in a variable, such as OPENAI_API_KEY, and give that variable's name",
        )
    return name


def _whole(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{where} must be a whole number, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else kind_of(value)


def _within_a_year(seconds: float, where: str) -> float:
    if seconds > MOST_SECONDS:
        raise ConfigError(f"{where} must be at most {MOST_SECONDS} seconds (a year), not {seconds:.15g}")
    return seconds
