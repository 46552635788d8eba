"""The command line: click commands over services. `main` turns every error into a message and an exit code.

commands    one file a command
flows       what several commands do in the same way
terminal    what people see
params      the options of the commands
lazy_group  commands are imported when they are called, so `--help` imports none of them
"""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from batcher import __version__
from batcher.cli.lazy_group import LazyGroup
from batcher.cli.params.session import ReaderGone, shared
from batcher.cli.terminal.errors import report_click, report_error
from batcher.domain.errors import BatcherError, UsageError
from batcher.policy.privacy.sanitize import is_utf8

_INTERRUPTED = 130


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start without a key: batcher run FILE --simulate",
)
@click.version_option(__version__, prog_name="batcher")
@shared
def cli() -> None:
    """Run a file of LLM requests to the end.

    At the provider's limit and never over it, every row answered exactly once on disk, every failure explained.
    """


def _open_what_is_closed() -> None:
    """Where a stream was closed before we began (`1>&-`), what is said there goes nowhere, the work goes on."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the same


def _check_surroundings(args: Sequence[str]) -> None:
    """Raise UsageError for names that no store and no JSON can hold, and for a folder that is gone."""
    try:
        folder = str(Path.cwd())
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be found: {error.strerror}", hint="go to one that is there (cd)"
        ) from None
    for what, text in [("the working directory", folder), *(("the argument", arg) for arg in args)]:
        if not is_utf8(text):
            raise UsageError(f"{what} {text} is not UTF-8", hint="rename it, or reach it by another name (ln -s)")


def main(arguments: Sequence[str] | None = None) -> None:
    """The `batcher` command."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign gets another; that is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        _check_surroundings(args)
        code = cli.main(args, prog_name="batcher", standalone_mode=False)
    except click.ClickException as error:
        code = report_click(error, args)
    except click.Abort:
        code = _INTERRUPTED
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except (BrokenPipeError, ReaderGone):
        # Whoever read our answer has gone, `head` for one; nothing that is left to say would be read.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except BatcherError as error:
        code = report_error(error, args)
    except Exception as error:  # noqa: BLE001 - no traceback for a person, unless asked for
        code = report_error(error, args)
    sys.exit(code if isinstance(code, int) else 0)
