"""Distinguishes refusals by a rate limit from random ones, such as those of a pool that others share.

A limit refuses most of what is sent above it, so its refusals come one after another, and almost none come at half
the rate. Random refusals are spread over everything, and come as often at any rate. Both are judged by likelihood
ratios, in the order in which requests were sent, because refusals return long before answers do. See
docs/rate-limits.md#unannounced-limits.
"""

from math import log

from msgspec import Struct

#: What a share of refusals is assumed to be before there are any, in requests.
PRIOR_REFUSED, PRIOR_SENT = 1.0, 50.0
#: Requests after which the long-run share counts half.
MEMORY = 1000.0
#: Share of refusals above a limit.
ABOVE_LIMIT = 0.5
#: ln of the odds for a limit: by chance once in 100,000 requests. Four or five refusals on end, at first.
CERTAIN = 11.5
#: A share that lasts is tried at a lower rate: after so many refusals, at least so large.
LASTING_REFUSED, LASTING_SHARE = 20.0, 0.05
#: After a trial in vain a lasting share is tried again after so many times the requests, and at most so many more.
PATIENCE, MOST_PATIENCE = 4, 20_000
#: ln of the odds that end a trial at a lower rate, and the share of refusals below a limit.
PROVED, BELOW_LIMIT = 4.6, 0.01


class RefusalShare(Struct, frozen=True, kw_only=True):
    """How often requests are refused while they are not paced."""

    #: Requests sent and refused over the long run, fading.
    sent: float = 0.0
    refused: float = 0.0
    #: Number of the last refused request.
    last: int = 0
    #: ln of the odds that refusals have become those of a limit, and requests and refusals since it was last 0.
    score: float = 0.0
    run_sent: float = 0.0
    run_refused: float = 0.0
    #: Number of the request from which a lasting share is tried.
    later: int = 0


def with_refusal(share: RefusalShare, number: int) -> RefusalShare:
    """Return the state after the refusal of the request with this number, counted from 1 as they are sent."""
    usual = (share.refused + PRIOR_REFUSED) / (share.sent + PRIOR_SENT)
    accepted = max(0, number - share.last - 1)
    score = max(0.0, share.score + accepted * log(ABOVE_LIMIT / (1.0 - min(ABOVE_LIMIT, usual))))
    goes_on = score > 0.0
    fading = 0.5 if share.sent > MEMORY else 1.0
    return RefusalShare(
        sent=fading * share.sent + accepted + 1,
        refused=fading * share.refused + 1,
        last=max(number, share.last),
        score=max(0.0, score + log(ABOVE_LIMIT / min(ABOVE_LIMIT, usual))),
        run_sent=(share.run_sent + accepted if goes_on else 0) + 1,
        run_refused=(share.run_refused if goes_on else 0) + 1,
        later=share.later,
    )


def share_to_try(share: RefusalShare) -> float | None:
    """Return the share of refusals, if it is worth a lower rate."""
    if share.score >= CERTAIN:
        return share.run_refused / share.run_sent
    lasting = share.refused / share.sent if share.sent else 0.0
    is_lasting = lasting >= LASTING_SHARE and share.refused >= LASTING_REFUSED and share.last >= share.later
    return lasting if is_lasting else None


def after_vain_trial(share: RefusalShare, number: int) -> RefusalShare:
    """Return the state after a lower rate did not help: this share is usual from now on."""
    later = number + min(MOST_PATIENCE, PATIENCE * number)
    return RefusalShare(sent=share.sent, refused=share.refused, last=number, later=later)


class Trial(Struct, frozen=True):
    """Whether half of the rate is refused less often: the share before, and what came since."""

    share: float
    #: Number of the last request before the rate was cut.
    since: int
    refused: int = 0


def odds_of_chance(trial: Trial, number: int) -> float:
    """Return ln of the odds that refusals have nothing to do with the rate, `number` being the last one sent.

    A limit lets in the same at half the rate, so that of a share q, 2q - 1 is left.
    """
    usual = min(0.99, trial.share)
    limit = max(BELOW_LIMIT, 2.0 * usual - 1.0)
    accepted = max(0, number - trial.since - trial.refused)
    return trial.refused * log(usual / limit) + accepted * log((1.0 - usual) / (1.0 - limit))
