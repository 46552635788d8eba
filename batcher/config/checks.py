"""Checks of one value: its type and its range.

Every check takes the value and `where` it came from ("--timeout", "batcher.toml: retry.timeout"). It returns the
value in its final type or raises a ConfigError that begins with `where`. If the value may be an API key that was
written in the wrong place, the error does not repeat it.
"""

import math
import re
from collections.abc import Callable
from typing import TypeVar

from batcher.domain.errors import ConfigError, UsageError
from batcher.domain.states import CacheMode
from batcher.policy.urls import normalize_base_url

T = TypeVar("T")
Check = Callable[[object, str], T]

MOST_ATTEMPTS = 100
#: A year. Longer waits are typing errors, and would overflow the store's microseconds.
MOST_SECONDS = 31_536_000

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRES = ("postgres", "postgresql")
_ADVICE = "give a path, such as batcher.db, or sqlite:///path/to/batcher.db"
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
    """Return TOML's name for the value's type, for an error that must not repeat the value."""
    return next((word for kind, word in _KINDS if isinstance(value, kind)), "a date or time")


def optional(value: object, check: Check[T], where: str) -> T | None:
    """Check the value, if there is one."""
    return None if value is None else check(value, where)


def number(value: object, where: str) -> float:
    """Check for a finite number."""
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
    """Check for a number above 0: requests or tokens per minute, dollars."""
    plain = number(value, where)
    if plain <= 0:
        raise ConfigError(f"{where} must be greater than 0, not {plain:.15g}")
    return plain


def unsupported(where: str, error: type[UsageError] = ConfigError) -> UsageError:
    """Return the error for a setting that has no effect yet: it would be accepted and never enforced."""
    return error(
        f"{where} is not supported yet: batcher knows no prices",
        hint="remove it, and set a spend limit at the provider",
    )


def attempts(value: object, where: str) -> int:
    """Check for 1 to 100 attempts."""
    count = _whole(value, where)
    if not 1 <= count <= MOST_ATTEMPTS:
        raise ConfigError(f"{where} must be from 1 to {MOST_ATTEMPTS}, not {count:.15g}")
    return count


def concurrency(value: object, where: str) -> int:
    """Check for at least one request in flight."""
    count = _whole(value, where)
    if count < 1:
        raise ConfigError(f"{where} must be at least 1, not {count:.15g}", hint="leave it out to let it adapt")
    return count


def timeout(value: object, where: str) -> float:
    """Check for a duration in seconds, above 0."""
    seconds = positive(value, where)
    return _within_a_year(seconds, where)


def wait(value: object, where: str) -> float:
    """Check for a duration in seconds; 0 is allowed."""
    seconds = number(value, where)
    if seconds < 0:
        raise ConfigError(f"{where} must be 0 or more seconds, not {seconds:.15g}")
    return _within_a_year(seconds, where)


def switch(value: object, where: str) -> bool:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false, not {kind_of(value)}")
    return value


def table(value: object, where: str) -> dict[str, object]:
    """Check for a table of batcher.toml."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table, not {kind_of(value)}")
    return value


def text(value: object, where: str) -> str:
    """Check for a string that is not blank."""
    if not isinstance(value, str):
        raise ConfigError(f"{where} must be a string, not {kind_of(value)}")
    if not value.strip():
        raise ConfigError(f"{where} is empty", hint="give it a value or leave it out")
    return value.strip()


def cache_mode(value: object, where: str) -> CacheMode:
    """Check for one of the three cache modes."""
    word = text(value, where)
    try:
        return CacheMode(word)
    except ValueError:
        raise ConfigError(f"{where} must be all, deterministic or off, not {word!r}") from None


def base_url(value: object, where: str) -> str:
    """Check a base URL and return it normalized."""
    given = text(value, where)
    try:
        return normalize_base_url(given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error


def variable(value: object, where: str) -> str:
    """Check for the name of an environment variable.

    Anything else may be a key pasted by mistake and is not repeated.
    """
    name = text(value, where)
    if not _VARIABLE.fullmatch(name):
        raise ConfigError(
            f"{where} takes the name of an environment variable (letters, digits and _), not the key itself",
            hint="export the key in a variable, such as OPENAI_API_KEY, and give that variable's name",
        )
    return name


def store_path(value: object, where: str) -> str:
    """Return the store's file for a path or `sqlite:///path`.

    A URL may contain a password, so it is never repeated.
    """
    given = text(value, where)
    scheme, sign, rest = given.partition("://")
    path = _sqlite_path(scheme.lower(), rest, where) if sign else given
    if path == ":memory:" or not path:
        raise ConfigError(f"{where}: the store must be a file; a resume continues from it", hint=_ADVICE)
    if path.endswith("/") or "\0" in path:
        raise ConfigError(f"{where} must name a file, not a folder", hint=_ADVICE)
    return path


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


def _sqlite_path(scheme: str, rest: str, where: str) -> str:
    """Return what follows `sqlite:///`: a relative path, or an absolute one after a fourth slash."""
    if scheme.partition("+")[0] in _POSTGRES:
        raise ConfigError(f"{where}: PostgreSQL is not supported yet; use a file", hint=_ADVICE)
    if scheme not in _SQLITE:
        raise ConfigError(f"{where}: the store can be a path or a sqlite:/// URL and nothing else", hint=_ADVICE)
    host, _, path = rest.partition("/")
    if host:
        raise ConfigError(
            f"{where}: a sqlite URL has three slashes, or four before an absolute path", hint=_ADVICE
        )
    if "?" in path:
        raise ConfigError(f"{where}: the store's URL takes no parameters", hint=_ADVICE)
    return path
