"""Reads batcher.toml, checks all of it, and makes a layer of it. `table` says where each setting stands.

A limit stands in [limits], or for one model in [limits."MODEL"]. Paths are relative to the file's folder.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from batcher.config import checks
from batcher.config.layers import FileSettings, Layer
from batcher.config.paths import expand_home
from batcher.config.setting import Setting
from batcher.config.table import LIMITS_TABLE, SETTINGS
from batcher.config.unknown import refuse_unknown, refuse_unknown_limit
from batcher.domain.errors import ConfigError
from batcher.domain.messages import Cause
from batcher.domain.settings import LIMIT_NAMES

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
        raise ConfigError(Cause.NO_CONFIG_FILE(source=source), hint=Cause.NAME_CONFIG_FILE()) from None
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}") from error
    return read_settings(_parse(raw, source), source=source, folder=place.parent)


def read_settings(document: Mapping[str, object], *, source: str, folder: Path) -> FileSettings:
    """Check the whole document. `source` is its name in errors; `folder` is what its paths are relative to."""
    refuse_unknown(document, source)
    given = {setting.name: _read(setting, document, source, folder) for setting in SETTINGS if setting.toml}
    return FileSettings(source=source, given=Layer(**given))


def _read(setting: Setting[Any], document: Mapping[str, object], source: str, folder: Path) -> object:
    """Return what the file gives for a setting, checked; None: nothing."""
    table, key = setting.toml or ("", "")
    found: dict[str | None, Any] = {}
    for model, values, where in _tables(document, table, source):
        value = values.get(key)
        if value is not None:
            if not setting.is_supported:
                raise checks.unsupported(f"{where}.{key}")
            found[model] = setting.check(value, f"{where}.{key}")
    if setting.is_per_model:
        return found or None
    return _beside(folder, found.get(None)) if setting.is_path else found.get(None)


def _tables(
    document: Mapping[str, object], name: str, source: str
) -> Iterator[tuple[str | None, dict[str, object], str]]:
    """Return a table as model, values and name in errors: of no model, and for [limits] those of each model."""
    where = f"{source}: {name}"
    table = checks.table(document.get(name, {}), where)
    yield None, table, where
    if name == LIMITS_TABLE:
        for model in (each for each in table if each not in LIMIT_NAMES):
            own = f'{where}."{model}"'
            values = checks.table(table[model], own)
            refuse_unknown_limit(values, model, own)
            yield model, values, own


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
