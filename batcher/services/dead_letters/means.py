"""What fills in the commands of an advice: the rows, jobs and endpoint that they are about."""

import shlex
from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice
from typing import Final

from batcher.config.table import API_KEY_ENV, BASE_URL, SIMULATE
from batcher.domain.ids import RequestId
from batcher.domain.jobs import Job
from batcher.policy.output.advice import Means, by_code
from batcher.policy.output.odd_answers import parameter_for
from batcher.policy.output.same_failure import edit_asked_for
from batcher.policy.tokens.estimate import maximum_field
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Store
from batcher.store.dead_letters import listing, summary
from batcher.store.dead_letters.filters import Filters, by_job
from batcher.store.jobs import jobs

#: Messages that must agree on an edit before it is advised, and models that are looked at for one that answers.
_MESSAGES: Final = 20
_MODELS: Final = 5


def means_of(database: Store, filters: Filters, which: str, *, example: RequestId) -> Means:
    """Return what fills in the advice about the letters that match; `which` are the options that select them."""
    with database.read() as connection:
        of = [jobs.get(connection, job_id) for job_id in by_job(connection, filters)]
        shown = listing.show(connection, example)
        messages = [
            message for message, _ in islice(summary.said(connection, _complete(filters, shown.letter)), _MESSAGES)
        ]
    first = next((job for job in of if job.id == shown.letter.job), of[0])
    endpoint = endpoint_options(first)
    is_one = all(endpoint_options(job) == endpoint for job in of)
    # A file goes to one endpoint, so letters of several are exported job by job.
    export = which if is_one or "--job " in which else f"--job {first.id} {which}"
    stated = maximum_field(shown.body)
    parameter = parameter_for(shown.path, stated)
    return Means(
        which=which,
        export=export,
        request=str(example),
        jobs=" ".join(str(job.id) for job in of),
        endpoint=endpoint,
        model=_model(database, first, path=shown.path, but_not=shown.model),
        maximum=f"{parameter}=N" if stated else f"{parameter}=N --yes",
        edit=_edit(messages),
    )


def by_code_in(job: int, code: str) -> str:
    """Return the options that select the letters of a code in one job."""
    return f"--job {job} {by_code(code)}"


def _complete(filters: Filters, letter: listing.Letter) -> Filters:
    return Filters(job=filters.job, code=letter.code, kind=letter.kind, status=letter.status)


def endpoint_options(job: Job) -> str:
    """Return the options of `run` that send rows where the job's go, with the key that the job uses."""
    if job.settings.simulate:
        return SIMULATE.flag
    key = "" if job.key_name == API_KEY_ENV.default else f" {API_KEY_ENV.flag} {shlex.quote(job.key_name)}"
    return f"{BASE_URL.flag} {shlex.quote(shown_base_url(job.base_url))}{key}"


def _edit(messages: Iterable[str]) -> str:
    """Return the edit that the messages ask for, if they agree on one."""
    asked = {edit_asked_for(message) for message in messages}
    only = asked.pop() if len(asked) == 1 else None
    return only or Means(which="").edit


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
    return Means(which="").model if found is None else shlex.quote(found)
