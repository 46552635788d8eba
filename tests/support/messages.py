"""The words of a message as the terminal shows them."""

from batcher.cli.terminal.messages import plain_words
from batcher.domain.messages import Message, Parameter, Words


def words(text: Words | None, **parameters: Parameter) -> str:
    """Return the text, with these parameters added if it is a message; "" for None."""
    if isinstance(text, Message):
        text = text.replaced(**parameters)
    return plain_words(text or "")
