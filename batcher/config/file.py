"""Reads batcher.toml, checks all of it, and makes a layer of it.

[provider] base_url, api_key_env, allow_http, ca_file     [provider.headers] HEADER = "VARIABLE"
[limits]   rpm, tpm, input_tpm, output_tpm, rpd, tpd      [limits."MODEL"]   the same, for one model
[retry]    max_attempts, timeout, max_wait                [cache]            mode
[store]    db                                             [run]              concurrency

Relative paths in the file are relative to its folder.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from batcher.config import checks
from batcher.config.headers import check_header_names
from batcher.config.layers import FileSettings, Layer
from batcher.config.limits import LimitLayer
from batcher.config.paths import expand_home, store_path
from batcher.config.unknown import refuse_unknown, refuse_unknown_limit
from batcher.domain.errors import ConfigError
from batcher.domain.settings import LIMIT_NAMES, Limits

T = TypeVar("T")

DEFAULT_FILE = "batcher.toml"

_POSITION = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")


def load_file(path: Path | None, cwd: Path) -> FileSettings:
    """Read `--config PATH`, or else `batcher.toml` in `cwd`. Only the default file may be missing.

    Raises ConfigError that names the file and the line (of a syntax error) or the key.
    """
    source = DEFAULT_FILE if path is None else str(path)
    place = cwd / (DEFAULT_FILE if path is None else expand_home(str(path), os.environ))
    try:
        raw = place.read_bytes()
    except FileNotFoundError:
        if path is None and not place.is_symlink():
            return FileSettings()
        if path is None:
            raise ConfigError(
                f"{source} is a link to a file that does not exist ({place.readlink()})",
                hint="correct or remove the link; its settings would be missing without a word",
            ) from None
        raise ConfigError(
            f"--config {source}: no such file", hint="name a TOML file, or leave --config out"
        ) from None
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}") from error
    return read_settings(_parse(raw, source), source=source, folder=place.parent)


def read_settings(document: Mapping[str, object], *, source: str, folder: Path) -> FileSettings:
    """Check the whole document. `source` is its name in errors; `folder` is what its paths are relative to."""
    refuse_unknown(document, source)
    provider = _Table(document, "provider", source)
    retry, cache = _Table(document, "retry", source), _Table(document, "cache", source)
    store, run = _Table(document, "store", source), _Table(document, "run", source)
    job = Layer(
        base_url=provider.take("base_url", checks.base_url),
        api_key_env=provider.take("api_key_env", checks.variable),
        headers=provider.take("headers", _headers),
        limits=_limits(_Table(document, "limits", source)),
        max_attempts=retry.take("max_attempts", checks.attempts),
        timeout=retry.take("timeout", checks.timeout),
        max_wait=retry.take("max_wait", checks.wait),
        max_cost=run.take("max_cost", checks.unsupported_cost_cap),
        cache=cache.take("mode", checks.cache_mode),
        allow_http=provider.take("allow_http", checks.switch),
        ca_file=_beside(folder, provider.take("ca_file", checks.text)),
    )
    return FileSettings(
        source=source,
        job=job,
        db=_beside(folder, store.take("db", store_path)),
        concurrency=run.take("concurrency", checks.concurrency),
    )


class _Table:
    """One table of the file: returns its values checked, each named by file and key in errors."""

    def __init__(self, parent: Mapping[str, object], name: str, source: str, *, label: str | None = None) -> None:
        self.where = f"{source}: {label or name}"
        self.values = _table(parent.get(name, {}), self.where)

    def take(self, key: str, check: checks.Check[T]) -> T | None:
        return checks.optional(self.values.get(key), check, f"{self.where}.{key}")


def _table(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table, not {checks.kind_of(value)}")
    return value


def _limits(table: _Table) -> LimitLayer:
    """Read the limits: numbers apply to every model, and each table to one model."""
    models = {name: _model_limits(table, name) for name in table.values if name not in LIMIT_NAMES}
    return LimitLayer(plain=_own_limits(table), models=models)


def _own_limits(table: _Table) -> Limits:
    return Limits(**{name: table.take(name, checks.positive) for name in LIMIT_NAMES})


def _model_limits(table: _Table, model: str) -> Limits:
    own = _Table(table.values, model, table.where.removesuffix(": limits"), label=f'limits."{model}"')
    refuse_unknown_limit(own.values, model, own.where)
    return _own_limits(own)


def _headers(value: object, where: str) -> dict[str, str]:
    """Return header names and the variables that hold their values."""
    table = _table(value, where)
    check_header_names(table, where)
    return {header: checks.variable(name, f"{where}.{header}") for header, name in table.items()}


def _beside(folder: Path, path: str | None) -> str | None:
    """Return a path of the file, relative to the file's folder. `~` stays: HOME is not known here."""
    return path if path is None or path.startswith("~") else str(folder / path)


def _parse(raw: bytes, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{source}:{line}: not UTF-8", hint="save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            _syntax_message(str(error), source, last_line=raw.rstrip().count(b"\n") + 1),
            hint='write settings as TOML: rpm = 500, base_url = "https://…", one per line',
        ) from error


def _syntax_message(message: str, source: str, *, last_line: int) -> str:
    match = _POSITION.fullmatch(message)
    if match is None:
        return f"{source}: {message}"
    line = match["line"] or str(last_line)
    column = f" (column {match['column']})" if match["column"] else " (the file ends too early)"
    return f"{source}:{line}: {match['what']}{column}"
