"""What a refusal says there was too much of, which decides what adapts."""

import re
from typing import Final

from batcher.domain.states import RefusalCause
from batcher.policy.wording.identifiers import as_words

_IN_FLIGHT: Final = re.compile(
    r"\bconcurren|\bin flight\b|\bparallel\b|\bsimultaneous|\bpending requests\b|\bat once\b"
    r"|\bqueue (?:is )?full\b|\boverloaded\b|\bserver (?:is )?(?:too )?busy\b|\bhigh demand\b",
    re.IGNORECASE,
)
#: "limit type: tokens" is LiteLLM's.
_TOKENS: Final = re.compile(
    r"\btokens? (?:per|a) |\bTPM\b|\btokens? (?:rate )?limit|\blimit type:? tokens?\b", re.IGNORECASE
)
_REQUESTS: Final = re.compile(
    r"\brequests? (?:per|a) |\bRPM\b|\brequests? (?:rate )?limit|\blimit type:? requests?\b", re.IGNORECASE
)


def refusal_cause(code: str, message: str) -> RefusalCause:
    """Return the cause that a refusal's code and message name; if they name two, they say nothing."""
    text = as_words(code, message)
    if _IN_FLIGHT.search(text):
        return RefusalCause.IN_FLIGHT
    tokens, requests = _TOKENS.search(text), _REQUESTS.search(text)
    if tokens is not None and requests is None:
        return RefusalCause.TOKENS
    return RefusalCause.REQUESTS if tokens is None and requests is not None else RefusalCause.UNSAID


def seen_again(cause: RefusalCause) -> RefusalCause:
    """Return the cause if the same request was refused before, which says more about it than about a rate."""
    return RefusalCause.AGAIN if cause in {RefusalCause.REQUESTS, RefusalCause.UNSAID} else cause
