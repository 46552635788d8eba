"""What fills in the commands of an advice: the rows, jobs and endpoint that they are about."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice
from typing import Final

from batcher.config.table import API_KEY_ENV
from batcher.domain.ids import RequestId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause, Message
from batcher.domain.requests import Filters
from batcher.policy.output.advice import Means
from batcher.policy.output.odd_answers import parameter_for
from batcher.policy.output.same_failure import edit_asked_for
from batcher.policy.tokens.estimate import maximum_field
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Store
from batcher.store.dead_letters import listing, summary
from batcher.store.dead_letters.filters import by_job
from batcher.store.jobs import jobs

#: Messages that must agree on an edit before it is advised, and models that are looked at for one that answers.
_MESSAGES: Final = 20
_MODELS: Final = 5
#: `dlq retry` refuses it.
_NO_MODEL: Final = "MODEL"


def means_of(database: Store, filters: Filters, which: Message, *, example: RequestId) -> Means:
    """Return what fills in the advice about the letters that match; `which` selects them."""
    with database.read() as connection:
        of = [jobs.get(connection, job_id) for job_id in by_job(connection, filters)]
        shown = listing.show(connection, example)
        messages = [
            message for message, _ in islice(summary.said(connection, _complete(filters, shown.letter)), _MESSAGES)
        ]
    first = next((job for job in of if job.id == shown.letter.job), of[0])
    endpoint = endpoint_of(first)
    is_one = all(endpoint_of(job) == endpoint for job in of)
    # A file goes to one endpoint, so letters of several are exported job by job.
    export = which if is_one or "job" in which.parameters else which.replaced(job=first.id)
    stated = maximum_field(shown.body)
    parameter = parameter_for(shown.path, stated)
    return Means(
        which=which,
        export=export,
        request=str(example),
        jobs=" ".join(str(job.id) for job in of),
        endpoint=endpoint,
        model=_model(database, first, path=shown.path, but_not=shown.model),
        maximum=Cause.MAXIMUM(path=parameter, is_stated=bool(stated)),
        edit=_edit(messages),
    )


def by_code_in(job: int, code: str) -> Message:
    """Return what selects the letters of a code in one job."""
    return Cause.SELECTION(job=job, code=code)


def _complete(filters: Filters, letter: listing.Letter) -> Filters:
    return Filters(job=filters.job, code=letter.code, kind=letter.kind, status=letter.status)


def endpoint_of(job: Job) -> Message:
    """Return where the job's rows go, with the key that it uses."""
    if job.settings.simulate:
        return Cause.ENDPOINT(is_simulated=True)
    key = "" if job.key_name == API_KEY_ENV.default else job.key_name
    return Cause.ENDPOINT(base_url=shown_base_url(job.base_url), key=key)


def _edit(messages: Iterable[str]) -> Message:
    """Return the edit that the messages ask for, if they agree on one."""
    asked = {edit_asked_for(message) for message in messages}
    only = asked.pop() if len(asked) == 1 else None
    return only or Cause.EDIT_SET(path="PATH")


def _model(database: Store, job: Job, *, path: str, but_not: str) -> str:
    """Return the model with the nearest name that has answered on this path of the endpoint."""
    with database.read() as connection:
        known = [model for model in summary.models_at(connection, job.endpoint_id, path) if model]
        near = sorted(known, key=lambda model: -SequenceMatcher(None, model, but_not).ratio())
        answered = (
            model
            for model in near[: _MODELS + 1]
            if model != but_not and summary.has_answered(connection, job.endpoint_id, path, model)
        )
        found = next(answered, None)
    return found or _NO_MODEL
