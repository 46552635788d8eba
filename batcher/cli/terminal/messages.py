"""Word messages for the terminal: options are flags, and advised commands reach this command's store."""

from batcher.cli.flag_names import flag_name
from batcher.cli.store_options import completed
from batcher.domain.messages import Message, Words


def words(text: Words) -> str:
    """Return the text of a message; commands in it repeat `--db` and `--config` of this command."""
    return completed(plain_words(text))


def plain_words(text: Words) -> str:
    """Return the text of a message without paths of this machine, for a file that is sent to others."""
    if isinstance(text, str):
        return text
    from batcher.messages.render import render  # noqa: PLC0415 - the catalogue only where there is a message

    return render(text, flag_name)


def worded(value: object) -> str:
    """Return the text of a message in a JSON document."""
    if not isinstance(value, Message):
        raise NotImplementedError(type(value).__name__)
    return words(value)
