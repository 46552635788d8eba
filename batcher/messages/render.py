"""Word a message: find the template of its cause and fill it with parameters and a surface's names of options."""

from collections.abc import Mapping
from typing import Final

from batcher.domain.messages import Cause, Parameter, Words
from batcher.messages import dead_letters, diagnostics, job_files, pauses, stores, usage
from batcher.messages.fields import Fields, FieldText, OptionNames
from batcher.messages.templates import Template

TEMPLATES: Final[Mapping[Cause, Template]] = {
    **pauses.TEMPLATES,
    **dead_letters.TEMPLATES,
    **diagnostics.TEMPLATES,
    **job_files.TEMPLATES,
    **stores.TEMPLATES,
    **usage.TEMPLATES,
}


def render(words: Words, names: OptionNames) -> str:
    """Return the text of a message, or the text itself."""
    if isinstance(words, str):
        return words
    template = TEMPLATES[words.cause]
    if not isinstance(template, str):
        template = template(words.parameters)
    return template.format_map(
        Fields({name: _worded(value, names) for name, value in words.parameters.items()}, names)
    )


def _worded(value: Parameter, names: OptionNames) -> object:
    if isinstance(value, int):
        return value
    if isinstance(value, tuple):
        return FieldText("\n".join(render(each, names) for each in value))
    return FieldText(render(value, names))
