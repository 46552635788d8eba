"""What is made from the table of settings, for the cog blocks: the page of settings, and Python's arguments."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from batcher.api.errors import argument_name
from batcher.cli.flag_names import flag_name
from batcher.config.setting import Setting
from batcher.config.table import ARGUMENTS, SETTINGS
from batcher.messages.fields import fill

_WIDTH = 115
_INDENT = " " * 8


def table() -> str:
    """The settings, each with its names, its default and whether a job remembers it."""
    head = "| flag | environment | `batcher.toml` | default | belongs to | what it does |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *map(_row, SETTINGS)]) + "\n"


def arguments() -> str:
    """The class of Python's arguments for settings."""
    return "\n".join(
        [
            "class SettingArguments(TypedDict, total=False):",
            '    """The settings of a run as arguments. One that is None counts as not given.',
            "",
            "    Attributes:",
            *(line for setting in ARGUMENTS for line in _described(setting)),
            '    """',
            "",
            *(f"    {setting.name}: {_annotation(setting)}" for setting in ARGUMENTS),
            *("", "", ""),
        ]
    )


def _row(setting: Setting[Any]) -> str:
    variable = f"`{setting.variable}`" if setting.variable else ""
    key = f"`[{setting.toml[0]}] {setting.toml[1]}`" if setting.toml else ""
    shown = fill(setting.default_shown, flag_name)
    default = f"`{shown}`" if "/" in shown else shown
    cells = [_flags(setting), variable, key, default or ("off" if setting.kind is bool else "none")]
    return f"| {' | '.join([*cells, setting.keeper, setting.help])} |".replace("|  |", "| |").replace(
        "|  |", "| |"
    )


def _flags(setting: Setting[Any]) -> str:
    if not setting.has_flag:
        return ""
    value = setting.metavar or "\\|".join(setting.choices)
    spelled = [f"`{setting.flag} {value}`" if value else f"`{setting.flag}`"]
    if setting.can_be_denied:
        spelled.append(f"`{setting.denial}`")
    if setting.off_flag:
        spelled.append(f"`{setting.off_flag}`")
    return ", ".join(spelled)


def _described(setting: Setting[Any]) -> Iterator[str]:
    default = f" Default: {setting.default_shown}." if setting.default_shown else ""
    text = fill(f"{setting.name}: {setting.help}{default}", argument_name)
    yield from wrap(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=f"{_INDENT}    ")


def _annotation(setting: Setting[Any]) -> str:
    path = " | os.PathLike[str]" if setting.is_path else ""
    return f"{setting.kind.__name__}{path} | None"
