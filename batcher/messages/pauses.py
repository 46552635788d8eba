"""How to end a pause. Each has a first part, and the steps after it, which name the job that waits.

`doctor` is asked about no job, and shows the first part alone.
"""

import re
from collections.abc import Mapping
from typing import Final

from batcher.domain.messages import Cause
from batcher.messages.templates import Parameters, Template, literal

_THEN_RESUME: Final = ", then run `batcher resume {job}`"
#: The job remembers the wrong address, so it must be given again.
_THEN_MOVE: Final = ", then run `batcher resume {job} --base-url URL` with the right one"
_DOCTOR: Final = "check with `batcher doctor` that it works"
_UNREACHABLE: Final = ", then `batcher resume {job}`; with another address `batcher resume {job} --base-url URL`"
_CHECK_KEY: Final = ", check that its account is active"
_OR_GIVE_UP: Final = "; `batcher cancel {job}` gives up the rows that are left"
#: A command in a text that an earlier version stored: a pause may concern several jobs, so it names none.
_OF_NO_JOB: Final = re.compile(r"`batcher (?:resume(?= -|`)|cancel JOB(?=`))")


def _text(parameters: Parameters) -> str:
    """Return the text as it is; if a job is given, the commands that name none name this one."""
    if "job" not in parameters:
        return "{text}"
    job = parameters["job"]
    named = _OF_NO_JOB.sub(lambda found: f"{found[0].removesuffix(' JOB')} {job}", str(parameters["text"]))
    return literal(named)


def _fix(what: str, then: str = _THEN_RESUME) -> Template:
    def template(parameters: Parameters) -> str:
        return what + then if "job" in parameters else what

    return template


def _key_refused(parameters: Parameters) -> str:
    place = (
        "{place}"
        if parameters["place"]
        else (
            "the variable that `{--api-key-env}` names (OPENAI_API_KEY by default; for a key header, the one that "
            "[provider.headers] names)"
        )
    )
    then = f", {_DOCTOR}{_THEN_RESUME}" if "job" in parameters else ""
    return f"put a working key into {place}{_CHECK_KEY}{then}"


def _moved(what: str, field: str, towards: str) -> Template:
    def template(parameters: Parameters) -> str:
        then = f"; {_DOCTOR}{_THEN_MOVE}" if "job" in parameters else ""
        return what + (towards if parameters[field] else "") + then

    return template


TEMPLATES: Final[Mapping[Cause, Template]] = {
    Cause.TEXT: _text,
    Cause.NO_CREDIT: _fix("add credit or turn billing on in the provider's console"),
    Cause.SPEND_CAP: _fix("raise the spending limit in the provider's console or wait for its reset"),
    Cause.KEY_MISSING: _fix(
        "no key was sent, because {variable} is not set: export it with a key that works there"
    ),
    Cause.KEY_REFUSED: _key_refused,
    Cause.UNKNOWN_HOST: _fix(
        "check the host's name in {--base-url}, and the network (VPN, name server); "
        "`batcher doctor --base-url URL` tries an address",
        _THEN_MOVE,
    ),
    Cause.PROXY_LOGIN: _fix(
        "put the proxy's user and password into its variable (HTTP_PROXY for an http:// base URL), or "
        "name the host in NO_PROXY"
    ),
    Cause.WRONG_BASE_URL: _moved(
        "check {--base-url}: it usually ends in /v1", "location", " (it redirects to {location})"
    ),
    Cause.API_MOVED: _moved(
        "give the new address with {--base-url}", "address", " (the provider names {address})"
    ),
    Cause.OTHER_PATHS_ANSWER: _fix(
        "the endpoint answers other requests, but not these: see whether it offers their path and model",
        _THEN_RESUME + _OR_GIVE_UP,
    ),
    Cause.UNKNOWN_MODEL: _fix(
        "check the model's name, the key's access to it and the base URL",
        f": `batcher doctor` lists the models{_THEN_RESUME}{_OR_GIVE_UP}",
    ),
    Cause.NO_PERMISSION: _fix("give the key or its project the permission (model, region, network rules)"),
    Cause.ZERO_LIMIT: _fix(
        "the plan allows no requests for this model: change the plan or the model", _THEN_RESUME + _OR_GIVE_UP
    ),
    Cause.REFUSED_FOR_GOOD: _fix("see the account's limits and billing in the provider's console"),
    Cause.PAGE_INSTEAD: _fix("a proxy or firewall answers in place of the provider: find out what it objects to"),
    Cause.UNREACHABLE: _fix("check {--base-url} and the network", _UNREACHABLE),
    Cause.UNREACHABLE_TLS: _fix(
        "check the host's name and its certificate; a company's own authority needs `{--ca-file:FILE}`, and "
        "`batcher doctor` shows what is wrong",
        _UNREACHABLE,
    ),
    Cause.UNREACHABLE_DNS: _fix("check {--base-url} (the host's name) and the network", _UNREACHABLE),
    Cause.UNREACHABLE_TIMEOUT: _fix(
        "see whether the server is overloaded; a longer {--timeout} may help", _UNREACHABLE
    ),
    Cause.SILENT: _fix(
        "see the provider's status page",
        "; `batcher resume {job} -v` continues and shows the result of every attempt",
    ),
    Cause.FORMAT_MISSED: (
        "see whether the model can keep the format, and whether its answers are cut (max_tokens); "
        "`batcher resume {job} --no-validate-output` takes the answers unchecked, and `batcher resume {job}` "
        "alone makes dead letters of rows that fail so"
    ),
    Cause.SAME_FAILURE: (
        "if every row needs a change, fix the file and submit it again; or `batcher resume {job}`: rows that "
        "fail so are dead letters from then on, and `batcher dlq retry --job {job} {edit}` changes them"
    ),
    Cause.CANNOT_SEND: "fix it, then run `batcher resume {job}`",
}
