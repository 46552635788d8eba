"""The pauses: what stops, why, and what a person does about it. Each takes the case and makes its outcome."""

from batcher.domain.outcomes import Failure
from batcher.domain.states import PauseReason, PauseScope
from batcher.policy.verdicts import Case, blocked, blocked_unless_answered, permanent

_GO_ON = "then run `batcher resume`"
_LOOK = "see with `batcher doctor` that it works"
_OTHER_MODEL = (
    "`batcher doctor` lists the models; resume once it is mended, or `batcher cancel JOB` and submit the file "
    "with another model"
)


def mend_alone(fix: str) -> str:
    """A fix without what comes after it: for the doctor himself, who is asked about no job."""
    for next_step in (f", {_GO_ON}", f", {_LOOK}", f"; {_LOOK}", f": {_OTHER_MODEL}"):
        fix = fix.removesuffix(next_step)
    return fix


def pause_for_credit(case: Case) -> Failure:
    """No prepaid credit, or billing is off."""
    fix = f"add credit or turn billing on in the provider's console, {_GO_ON}"
    return blocked(case, scope=PauseScope.KEY, reason=PauseReason.QUOTA, fix=fix)


def pause_for_spend_cap(case: Case) -> Failure:
    """A cap on spending: raised by a person, or gone with the month."""
    fix = f"raise the spending limit in the provider's console or wait for its reset, {_GO_ON}"
    return blocked(case, scope=PauseScope.KEY, reason=PauseReason.SPEND_CAP, fix=fix)


def pause_for_key(case: Case) -> Failure:
    """The key is wrong, revoked, or its account is on hold."""
    fix = (
        "put a working key into the variable that `--api-key-env` names (OPENAI_API_KEY by default), see that "
        f"its account is in order, {_LOOK}, {_GO_ON}"
    )
    return blocked(case, scope=PauseScope.KEY, reason=PauseReason.CREDENTIALS, fix=fix)


def pause_for_proxy(case: Case) -> Failure:
    """The proxy of the environment wants a login (407)."""
    fix = f"put the proxy's user and password into HTTPS_PROXY, or name the host in NO_PROXY, {_GO_ON}"
    return blocked(case, scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, fix=fix)


def pause_for_base_url(case: Case) -> Failure:
    """What answers at the address is not the API."""
    location = case.evidence.headers.get("location", "").partition("?")[0]
    towards = f" (it redirects to {location[:200]})" if location else ""
    fix = f"check --base-url: it usually ends in /v1{towards}; {_LOOK}, {_GO_ON}"
    return blocked(case, scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, fix=fix)


def pause_for_model(case: Case) -> Failure:
    """The model is unknown there, or not for this key."""
    fix = f"check the model's name, the key's access to it and the base URL: {_OTHER_MODEL}"
    return blocked_unless_answered(case, reason=PauseReason.MODEL, fix=fix)


def pause_for_permission(case: Case) -> Failure:
    """The key may not do this."""
    fix = f"give the key or its project the permission (model, region, network rules), {_GO_ON}"
    return blocked_unless_answered(case, reason=PauseReason.CREDENTIALS, fix=fix)


def pause_for_zero_limit(case: Case) -> Failure:
    """The limit is zero, not used up: the model is not in the plan."""
    fix = f"the plan allows no requests for this model: change the plan or the model, {_GO_ON}"
    return blocked(case, scope=PauseScope.LANE, reason=PauseReason.MODEL, fix=fix)


def pause_for_refusal(case: Case) -> Failure:
    """The provider says that trying again will not help (429 with x-should-retry: false)."""
    fix = f"see the account's limits and billing in the provider's console, {_GO_ON}"
    return blocked(case, scope=PauseScope.LANE, reason=PauseReason.QUOTA, fix=fix)


def pause_for_page(case: Case) -> Failure:
    """A page in place of an answer, from an endpoint that has answered before: a firewall, or a login."""
    if case.standing.lane_answered:
        return permanent(case)
    fix = f"a proxy or firewall answers in the provider's place: see what it objects to, {_GO_ON}"
    return blocked(case, scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, fix=fix)
