"""What a sentence says about a limit: that a rate was exceeded, or that there is no capacity now.

Gateways and smaller providers say so at any status: 400, 403, 500, or in a 200. The texts are read as words, so
`ThrottlingException` and `rate_limit_exceeded` are found, too.
"""

import re
from typing import Final

from batcher.policy.wording.identifiers import as_words

#: More requests or tokens than a rate or a quota of a period allows. A "rate limit" alone can be a parameter.
_RATE: Final = re.compile(
    r"\brate[ -]?limited\b|\brequest rate is too high\b|\brate exceeded\b"
    r"|\brate[ -]?limit(?:s|ing)? (?:\S+ ){0,6}?(?:exceeded|reached|hit|error|exception|violation)\b"
    r"|\b(?:exceed(?:s|ed|ing)?|reach(?:ed)?|hit) (?:\S+ ){0,4}?rate[ -]?limits?\b"
    r"|\btoo many (?:concurrent |simultaneous |parallel )?requests\b|\btoo many tokens\W+please wait\b"
    r"|\bthrottl(?:ed|ing)\b|\bspike arrest\b"
    r"|\b(?:requests?|tokens?|qps|rpm|tpm) (?:rate )?(?:limit|quota) (?:is |was |has been )?(?:exceeded|reached)\b"
    # Google; Azure API Management.
    r"|\bquota exceeded for (?:quota )?(?:metric|group)\b|\bout of call volume quota\b"
    r"|\bquota will be (?:replenished|reset)\b"
    "|请求过于频繁|速率限制|限流",
    re.IGNORECASE,
)
#: No capacity now: SGLang's full queue, and models that are being loaded (llama.cpp, Hugging Face), among others.
_BUSY: Final = re.compile(
    r"\boverloaded\b|\bserver (?:is )?(?:too )?busy\b|\bhigh demand\b|\bqueue (?:is )?full\b|\bwarming up\b"
    r"|\bloading (?:the )?model\b|\b(?:model|currently|still) (?:is )?(?:being )?load(?:ing|ed)\b"
    r"|\b(?:at|no|over|insufficient|not enough|out of|lack of) (?:\w+ )?capacity\b"
    # new-api: "the load of the group's upstream is saturated".
    "|负载已饱和",
    re.IGNORECASE,
)


def says_rate_limited(*texts: str, within: int | None = None) -> bool:
    """Return whether a rate or a quota of a period was exceeded, by code, type or message.

    `within`: what begins later does not count, because a message may repeat a part of the request.
    """
    found = _RATE.search(as_words(*texts))
    return found is not None and (within is None or found.start() < within)


def says_busy(*texts: str) -> bool:
    """Return whether there is no capacity now."""
    return _BUSY.search(as_words(*texts)) is not None
