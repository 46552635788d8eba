"""What a template is: a text with fields, or a function that chooses the text by the parameters."""

from collections.abc import Callable, Mapping

from batcher.domain.messages import Parameter

Parameters = Mapping[str, Parameter]
#: A function returns a text with fields, never with values in it: braces in a value would be read as fields.
Template = str | Callable[[Parameters], str]
