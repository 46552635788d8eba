"""The options of a submission, and what they mean for the parsing of lines."""

from typing import Final

from msgspec import Struct

from batcher.domain.settings import JobSettings
from batcher.policy.input.line_parser import LineRules
from batcher.policy.urls import host_of
from batcher.services.jobs.line_chunks import SHOWN_BAD_LINES, ParseOptions

#: The only server whose own rules are known for certain.
_OPENAI: Final = "api.openai.com"


class EndpointNaming(Struct, frozen=True, kw_only=True):
    """How the command came to its base URL."""

    #: A flag or an argument of the call names it, so it counts whatever jobs the file has.
    is_explicit: bool = True
    #: Else the variable or the settings file that names it; None: it is the default.
    named_by: str | None = None


class SubmitOptions(Struct, frozen=True, kw_only=True):
    """Options of a submission."""

    name: str | None = None
    #: Default url of bare bodies, a normalized path.
    url: str | None = None
    #: The model of bodies that name none.
    model: str | None = None
    #: Whether bodies are checked as the known endpoints would.
    check_bodies: bool = True
    skip_invalid: bool = False
    #: Make a new job even if the file is known.
    new: bool = False
    output_path: str | None = None
    #: Identifies the job's content instead of its bytes: a later submission under the same key is the same job.
    key: str | None = None
    #: How many invalid lines the error carries; None for all.
    keep_bad: int | None = SHOWN_BAD_LINES
    #: How the settings came to their base URL.
    naming: EndpointNaming = EndpointNaming()


def parse_options(settings: JobSettings, options: SubmitOptions) -> ParseOptions:
    """Return how the job's lines are parsed."""
    openai = host_of(settings.base_url) == _OPENAI
    rules = LineRules(model=options.model, check_bodies=options.check_bodies, openai=openai)
    return ParseOptions(url=options.url, cache=settings.cache, rules=rules)
