"""Errors for unknown keys of batcher.toml, each with a suggestion."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from batcher.config.table import API_KEY_ENV, LIMITS_TABLE, TABLES
from batcher.domain.errors import ConfigError
from batcher.domain.settings import LIMIT_NAMES

#: Names under which people write the key itself, letters only.
_KEY_WORDS = frozenset({"apikey", "key", "token", "secret", "password", "authorization", "bearer", "openaiapikey"})


def refuse_unknown(document: Mapping[str, object], source: str) -> None:
    """Raise ConfigError for the first unknown table or key. Values are not examined."""
    for name, value in document.items():
        if name not in TABLES:
            raise _unknown_top(name, value, source)
        if isinstance(value, dict):
            _refuse_unknown_keys(value, name, source)


def refuse_unknown_limit(values: Mapping[str, object], model: str, where: str) -> None:
    """Raise ConfigError for an unknown limit in a model's table, or for a model without a name."""
    if not model.strip():
        raise ConfigError(f"{where} names no model", hint='write [limits."gpt-4o-mini"]')
    for key, value in values.items():
        if key in LIMIT_NAMES:
            continue
        if isinstance(value, dict):
            dotted = f"{model}.{key}"
            raise ConfigError(
                f"{where} contains a table: {key}",
                hint=f'a model name with a dot needs quotes: [limits."{dotted}"]',
            )
        raise ConfigError(f"{where} has an unknown key: {key}", hint=_closest(key, LIMIT_NAMES))


def _unknown_top(name: str, value: object, source: str) -> ConfigError:
    if isinstance(value, dict):
        close = get_close_matches(name, TABLES, n=1)
        hint = (
            f"did you mean [{close[0]}]?"
            if close
            else f"the tables are {_listed(f'[{known}]' for known in TABLES)}"
        )
        return ConfigError(f"{source}: unknown table [{name}]", hint=hint)
    if _is_key(name):
        return _literal_key(name, source)
    return ConfigError(f"{source}: unknown key {name}", hint=_elsewhere(name, tuple(TABLES)))


def _refuse_unknown_keys(values: Mapping[str, object], table: str, source: str) -> None:
    for key, value in values.items():
        if key in TABLES[table] or (table == LIMITS_TABLE and isinstance(value, dict)):
            continue
        if _is_key(key):
            raise _literal_key(f"{table}.{key}", source)
        raise ConfigError(f"{source}: unknown key {table}.{key}", hint=_elsewhere(key, TABLES[table]))


def _is_key(name: str) -> bool:
    return "".join(filter(str.isalpha, name.lower())) in _KEY_WORDS


def _literal_key(name: str, source: str) -> ConfigError:
    table, key = API_KEY_ENV.toml or ("", "")
    return ConfigError(
        f"{source}: {name}: a key does not belong in the file",
        hint=f'export it in a variable and name that: {key} = "{API_KEY_ENV.default}" in [{table}]',
    )


def _elsewhere(key: str, known: tuple[str, ...]) -> str:
    """Suggest where the key belongs, or the nearest known key: first of its own table, then of all tables."""
    homes = [table for table, keys in TABLES.items() if key in keys]
    if homes:
        return f"{key} belongs in [{homes[0]}]"
    if get_close_matches(key, known, n=1):
        return _closest(key, known)
    keys = {name: table for table, names in TABLES.items() for name in names}
    close = get_close_matches(key, keys, n=1)
    return f"did you mean {close[0]} in [{keys[close[0]]}]?" if close else _closest(key, known)


def _closest(key: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {_listed(known)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
