"""What is said about answers that were delivered although something is odd about them."""

from typing import Final

#: The parameter that limits an answer, by the end of the path, if the request does not name one itself.
_MAXIMUM: Final = (
    ("/responses", "max_output_tokens"),
    ("/chat/completions", "max_completion_tokens"),
    (":generateContent", "generationConfig.maxOutputTokens"),
)


def notes(*, truncated: int, empty: int, unchecked: int, parameter: str) -> list[str]:
    """Return a sentence for each kind of odd answer. `parameter` is what limits the length of an answer."""
    said = []
    if truncated:
        of_them = f", {_some(empty)} of them before the first word" if empty else ""
        said.append(f"{_answers(truncated)} cut at the token limit{of_them}: raise {parameter}")
    if unchecked:
        said.append(f"{_answers(unchecked)} not validated: the requested format could not be checked")
    return said


def parameter_for(path: str, named: str | None) -> str:
    """Return the parameter to raise: the one that the request names, else the endpoint's."""
    return named or next((name for suffix, name in _MAXIMUM if path.endswith(suffix)), "max_tokens")


def _answers(count: int) -> str:
    return "1 answer was" if count == 1 else f"{count:,} answers were"


def _some(count: int) -> str:
    return "one" if count == 1 else f"{count:,}"
