"""What a template is: a text with fields, or a function that chooses the text by the parameters."""

from collections.abc import Callable, Mapping

from batcher.domain.messages import Parameter

Parameters = Mapping[str, Parameter]
#: A function returns a text with fields; a value that it puts in must be `literal`, as braces are read as fields.
Template = str | Callable[[Parameters], str]


def literal(text: str) -> str:
    """Return a text for a template in which braces mean nothing."""
    return text.replace("{", "{{").replace("}", "}}")
