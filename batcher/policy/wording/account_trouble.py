"""What is wrong with the account, the key, the model's name or the address, in the words of providers.

Codes are the better evidence and come first: see `classify/error_codes.py`. This module recognizes what many
providers and gateways say in a sentence alone. A message about a wrong request may repeat a part of the request,
so only what stands at its beginning counts: see `OPENING`.
"""

from enum import Enum, auto
from typing import Final

from batcher.policy.wording.phrase import Phrase

#: At 400 and 422 a sentence must begin within so many characters. A model's name may stand before it.
OPENING: Final = 80


class Trouble(Enum):
    """What a message complains about. All but the last two concern every request of the account or the key."""

    NO_CREDIT = auto()
    SUSPENDED = auto()
    SPEND_CAP = auto()
    BAD_KEY = auto()
    UNKNOWN_MODEL = auto()


def _words(*patterns: str) -> Phrase:
    return Phrase("|".join(patterns))


#: What may be suspended, and up to three words of its name after it.
_ACCOUNT: Final = (
    r"\b(?:account|organi[sz]ation|org|team|project|workspace|consumer|subscription)\b\s+(?:\S+\s+){0,3}"
)
#: A model's name, between the word and what is said about it.
_MODEL: Final = r"\bmodel:?\s+(?:\S+\s+){0,2}"

#: In this order: "suspended due to insufficient balance" is about credit.
_SENTENCES: Final[tuple[tuple[Trouble, Phrase], ...]] = (
    (
        Trouble.NO_CREDIT,
        _words(
            r"\binsufficient (?:account |api |prepaid )?(?:balance|credits?)\b",
            r"\b(?:out of|not enough|no remaining|no more) credits\b",
            r"\b(?:used|exhausted|spent) (?:up )?(?:all )?(?:of )?"
            r"(?:your |its |the |available |prepaid )*credits\b",
            r"\bcredit balance\b.{0,20}\b(?:too low|exhausted|insufficient|negative)\b",
            r"\baccount is (?:in arrears|overdue)\b|\boverdue payment\b",
            r"\baccount is not active\b.{0,20}\bbilling\b",
            # one-api and new-api: the quota that their user or key has left, at 401, 403 and 429.
            r"\b(?:user|token) (?:remaining )?quota is not enough\b",
            "余额不足|账户已欠费|额度不足|额度已用尽|预扣费额度失败",
        ),
    ),
    (
        Trouble.SUSPENDED,
        _words(
            _ACCOUNT + r"(?:is|was|has been|have been) (?:currently )?"
            r"(?:suspended|deactivated|disabled|blocked|terminated|banned|frozen|on hold)\b",
        ),
    ),
    (
        Trouble.SPEND_CAP,
        _words(
            r"(?<!thinking )(?<!reasoning )(?<!token )\bbudget has been exceeded\b",
            r"\bexceeded ?budget\b(?! tokens)|\bcrossed budget\b",
            r"\b(?:reached|exceeded|hit|over)\b.{0,30}\b(?:spend|spending|billing) (?:limit|cap)\b",
            r"\b(?:spend|spending|billing) (?:limit|cap)\b.{0,20}\b(?:reached|exceeded|hit)\b",
        ),
    ),
    (
        Trouble.BAD_KEY,
        _words(
            r"\b(?:incorrect|invalid|wrong|unknown|expired|revoked) (?:api[ -]?key|proxy server token)\b",
            r"\bapi[ -]?key (?:is |was |has )?(?:been )?"
            r"(?:not valid|invalid|incorrect|expired|revoked|not found|disabled|deleted)\b",
        ),
    ),
    (
        Trouble.UNKNOWN_MODEL,
        _words(
            r"^model not exist",
            r"\bis not a valid model\b",
            r"\binvalid model (?:name|id|identifier)\b|\bmodel (?:name|id|identifier) is (?:invalid|not valid)\b",
            r"\b(?:unknown|no such) model\b(?! (?:parameter|option|field|argument|setting))",
            _MODEL + r"(?:does not|doesn't|do not|not) exist\b",
            _MODEL + r"(?:is |was )?not found\b",
            _MODEL
            + r"(?:has been|is|was) (?:decommissioned|retired|discontinued|shut down|no longer supported)\b",
        ),
    ),
)
#: "Your account is temporarily blocked due to too many requests" passes by itself.
_PASSES: Final = _words(r"\btemporar(?:y|ily)\b")
_OTHER_ADDRESS: Final = _words(
    r"\b(?:use|using|moved to|migrated? to|switch(?:ed)? to|replaced by|see)\b.{0,30}?(https?://[^\s\"'<>]+[^\s\"'<>.,;)])"
)


def account_trouble(message: str, *, within: int | None = None) -> Trouble | None:
    """Return what a message complains about; None if it is none of these.

    `within`: only sentences that begin within so many characters count.
    """
    matches = ((trouble, sentence.search(message)) for trouble, sentence in _SENTENCES)
    found = next(
        (trouble for trouble, match in matches if match and _counts(message, match.start(), within)), None
    )
    return None if found is Trouble.SUSPENDED and _PASSES.search(message) else found


def _counts(message: str, start: int, within: int | None) -> bool:
    """Return whether a sentence that begins here is the provider's own: not far in, and no quotation."""
    return within is None or (start < within and message[start - 1 : start] not in {"'", '"', "`"})


def other_address(message: str) -> str | None:
    """Return the URL that a message names as the one to use instead; None if it names none."""
    found = _OTHER_ADDRESS.search(message)
    return found[1] if found else None
