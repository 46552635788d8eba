"""The options of settings: what a command gets for what was given."""

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from batcher.cli.params.setting_options import setting_options
from batcher.config import Flags
from batcher.config.table import RUN_SETTINGS
from batcher.domain.errors import UsageError


def called(*args: str) -> tuple[Result, list[Flags]]:
    """A command with the options, called, and the flags that it gets."""
    got: list[Flags] = []

    @click.command()
    @setting_options
    def command(*, flags: Flags) -> None:
        got.append(flags)

    return CliRunner().invoke(command, args, catch_exceptions=False), got


NOTHING: dict[str, Any] = {"rpm": (), "tpm": ()}


@pytest.mark.parametrize(
    ("args", "flags"),
    [
        ((), {}),
        (("--rpm", "5", "--rpm", "m=6", "--tpm", "200k"), {"rpm": ("5", "m=6"), "tpm": ("200k",)}),
        (("--concurrency", "4", "--max-attempts", "2"), {"concurrency": 4, "max_attempts": 2}),
        (("--timeout", "2.5", "--max-wait", "0"), {"timeout": 2.5, "max_wait": 0.0}),
        (("--timeout", "90s", "--max-wait", "1.5h"), {"timeout": 90.0, "max_wait": 5_400.0}),
        (("--timeout", "15m", "--max-wait", "7d"), {"timeout": 900.0, "max_wait": 604_800.0}),
        (("--cache", "off"), {"cache": "off"}),
        (("--no-cache",), {"cache": "off"}),
        (("--no-cache", "--cache", "off"), {"cache": "off"}),
        (("--validate-output", "--no-fail-truncated"), {"validate_output": True, "fail_truncated": False}),
        (("--no-validate-output", "--fail-truncated"), {"validate_output": False, "fail_truncated": True}),
        (("--allow-http", "--simulate"), {"allow_http": True, "simulate": True}),
        (("--base-url", "x", "--ca-file", "y"), {"base_url": "x", "ca_file": "y"}),
    ],
)
def test_a_command_gets_what_was_given_and_nothing_else(args: tuple[str, ...], flags: dict[str, Any]) -> None:
    _, got = called(*args)
    assert got == [Flags(**{**NOTHING, **flags})]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--no-cache", "--cache", "all"), "--no-cache contradicts --cache all"),
        (("--max-cost", "5"), "--max-cost is not supported yet: batcher knows no prices"),
    ],
)
def test_what_contradicts_itself_or_has_no_effect_is_refused(args: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=f"^{says}"):
        called(*args)


@pytest.mark.parametrize("written", ["long", "", "5 minutes", "1e", "90S"])
def test_a_time_that_is_none_is_refused_with_an_example(written: str) -> None:
    result, got = called("--timeout", written)
    assert (result.exit_code, got) == (2, [])
    assert "such as 90s, 15m or 6h" in " ".join(result.output.split())


def test_every_setting_with_a_flag_has_an_option() -> None:
    @click.command()
    @setting_options
    def command() -> None: ...

    options = {option for parameter in command.params for option in parameter.opts}
    assert options == {setting.flag for setting in RUN_SETTINGS if setting.has_flag} | {"--no-cache"}
