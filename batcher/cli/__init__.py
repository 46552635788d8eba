"""The command line: click commands over services. `main` turns every error into a message and an exit code.

commands    one module per command
flows       steps that several commands share
terminal    output for people and scripts
flag_names  what an option is called in messages
store_options  repeats `--db` and `--config` in advised commands
params      the options of the commands
lazy_group  imports a command when it is called, so `batcher --help` imports none of them
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from batcher import __version__
from batcher.cli import store_options
from batcher.cli.lazy_group import LazyGroup
from batcher.cli.params.session import OutputClosed, shared
from batcher.cli.terminal.errors import report_click, report_error
from batcher.cli.terminal.streams import discard, flush_or_discard, prepare_streams
from batcher.domain.errors import BatcherError, UsageError
from batcher.policy.privacy.sanitize import is_utf8

_INTERRUPTED = 130


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  batcher run job.jsonl --simulate    try it without a key\n"
    "  batcher run job.jsonl               needs OPENAI_API_KEY\n"
    "  batcher COMMAND --help              options and examples of a command",
)
@click.version_option(__version__, prog_name="batcher")
@shared
def cli() -> None:
    """Run a file of LLM requests to the end.

    batcher sends requests at the provider's rate limit and never over it. It stores every answer exactly once and
    explains every failure. An interrupted run continues where it stopped.
    """


def _check_environment(args: Sequence[str]) -> None:
    """Raise UsageError if the working directory is gone, or a name is not UTF-8: no store or JSON can hold it."""
    try:
        folder = str(Path.cwd())
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be found: {error.strerror}", hint="change to one that exists (cd)"
        ) from None
    for what, text in [("the working directory", folder), *(("the argument", arg) for arg in args)]:
        if not is_utf8(text):
            raise UsageError(f"{what} {text} is not UTF-8", hint=_rename_or_locale(text))


def _rename_or_locale(text: str) -> str:
    """Return what to do about a name that is no text: it may be UTF-8 that the locale does not let Python read."""
    try:
        os.fsencode(text).decode("utf-8")
    except (UnicodeError, ValueError):
        return "rename it, or use a symbolic link (ln -s)"
    return "it is, but the locale of this process is not: `export LC_ALL=C.UTF-8`, then run the command again"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the `batcher` command, and exit with its code."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    prepare_streams()
    store_options.remember(None, None)
    try:
        _check_environment(args)
        code = cli.main(args, prog_name="batcher", standalone_mode=False)
    except click.ClickException as error:
        code = report_click(error, args)
    except click.Abort:
        code = _INTERRUPTED
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except (BrokenPipeError, OutputClosed):
        # The reader of our stdout has exited, `head` for example: discard the rest.
        discard(sys.stdout)
        code = 0
    except BatcherError as error:
        code = report_error(error, args)
    except Exception as error:  # noqa: BLE001 - a user sees a traceback only with --debug
        code = report_error(error, args)
    flush_or_discard()
    sys.exit(code if isinstance(code, int) else 0)
