"""`batcher dlq`: look into the dead-letter queue, and try again.

which       the options that say which dead letters are meant
looking     list and show
summary     by cause
retrying    back to pending, edited where asked; probing sends one first; telling says what went back
exporting   a job file again
discarding  given up
"""

import click

from batcher.cli.dlq.discarding import discard
from batcher.cli.dlq.exporting import export
from batcher.cli.dlq.looking import list_, show
from batcher.cli.dlq.retrying import retry
from batcher.cli.dlq.summary import summary
from batcher.cli.session import shared

_EPILOG = """\b
Examples:
  batcher dlq summary
  batcher dlq show 17
  batcher dlq retry --code context_length_exceeded --set max_tokens=500 --probe
"""


@click.group(epilog=_EPILOG)
@shared
def dlq() -> None:
    """Look into the dead-letter queue, and try again.

    A dead letter is a row that failed for good. It is kept with its whole history.
    """


for _command in (summary, list_, show, retry, export, discard):
    dlq.add_command(_command)
