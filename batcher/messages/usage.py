"""What to do about wrong use of a command, a setting or an argument."""

from collections.abc import Mapping
from typing import Final

from batcher.domain.messages import Cause
from batcher.messages.templates import Template

TEMPLATES: Final[Mapping[Cause, Template]] = {
    Cause.NOTHING_EDITED: "--set, --unset and --move change none of the bodies; nothing was put back",
    Cause.SEE_BODY_UNCHANGED: (
        "`batcher dlq show REQUEST` shows the body; without these options rows go back unchanged"
    ),
    Cause.SEE_BODY: "`batcher dlq show REQUEST` shows the body; select fewer, or fix the path or the value",
    Cause.EXPORT_ONE_JOB: "export one job at a time: --job {job}",
    Cause.OTHER_OUTPUT_OR_FORCE: "name another file with {-o}, or give {--force}",
    Cause.JOB_AND_REQUEST: "{--job} and {--request} were both given",
    Cause.LIST_LETTERS: "`batcher dlq list` shows those there are",
    Cause.PROBE_LATER: (
        "let `batcher resume {job}` finish them first, take another job ({--job}), or leave out {--probe}"
    ),
    Cause.LIST_NUMBERS: "`batcher dlq list` shows the numbers of the dead letters",
    Cause.NOT_A_NOTE: "{path} already exists and is not a note of `batcher doctor`",
    Cause.OTHER_NOTE: "name another file with {--save}",
    Cause.CACHE_CAVEAT: (
        "applies only to answers of earlier jobs: rows of this job go on sharing answers; {--new} matches its"
        " rows again"
    ),
    Cause.CONTINUE_THERE: "`batcher resume {job}` continues it there; `{--base-url} {base_url}` makes a new job",
    Cause.NAME_ENDPOINT: (
        "name it, for example `{--base-url} {base_url}`; `batcher resume {job}` continues a job by its number"
    ),
    Cause.CANCEL_FIRST: "`batcher cancel {job}` first, then delete it",
    Cause.DELETE_LATER: "delete it when they have ended; `batcher status {job}` shows their number",
    Cause.NAME_A_WORD: "give {--name} a word",
    Cause.FINISH_DELETION: "`batcher status` lists the jobs; `batcher delete {job}` finishes a deletion",
    Cause.FOLDER_MOVED: "if the folder was moved: `batcher {command} {job} -o {file:shell}` writes here",
    Cause.OTHER_OUTPUT: "name another output file with {-o}",
    Cause.OTHER_RESULTS_FILE: (
        "move it away, or name another results file with {-o}; the errors file is named after it"
    ),
    Cause.WRITE_AGAIN: "move it away, then write the results again with `batcher results`",
    Cause.FINISH_FIRST: "`batcher resume {job}` finishes it; {--partial} writes the results that exist now",
    Cause.OTHER_PORT: (
        "another program may use the port: choose another with {--port}, or any free one with {--port} 0"
    ),
    Cause.OTHER_JOURNAL: "name another file with {--journal}",
    Cause.ALLOW_HTTP: "use https, or give {--allow-http} if you are sure of the network",
    Cause.NO_KEY: "{variable} {state}: export it, or name another variable with {--api-key-env}",
    Cause.NO_CONFIG_FILE: "{--config} {source}: no such file",
    Cause.NAME_CONFIG_FILE: "name a TOML file, or leave {--config} out",
    Cause.CORRECT_CA_FILE: (
        "correct {--ca-file}, SSL_CERT_FILE or provider.ca_file, or leave them out to use the system's"
    ),
    Cause.CA_FILE_FORM: "{--ca-file} and SSL_CERT_FILE must name a file of certificates in PEM format",
    Cause.KEY_VARIABLE: "take it out; a key is read from the variable that {--api-key-env} names",
    Cause.SHARED_ANSWER: (
        "{count:,} row repeats another row's body and shares its answer, though models answer the same prompt"
        " differently each time, even at temperature 0; for independent samples give each row its own `seed`,"
        " or run with {--no-cache} {--new}"
    ),
    Cause.SHARED_ANSWERS: (
        "{count:,} rows repeat another row's body and share its answer, though models answer the same prompt "
        "differently each time, even at temperature 0; for independent samples give each row its own `seed`, "
        "or run with {--no-cache} {--new}"
    ),
    Cause.RUN_THERE: "run the file there: batcher run FILE --base-url URL",
    Cause.RUN_SIMULATED: "make a new job of the file: batcher run FILE --new --simulate",
    Cause.BUNDLE_HAS_CONTENT: (
        "It contains prompts and answers (`{--with-content}` was given): share it with care."
    ),
    Cause.BUNDLE_BODY: "`batcher dlq show {request} --json` prints it as `body`.",
    Cause.BUNDLE_SIMULATED: "The provider was the built-in simulated one: `batcher simulate` serves it.",
    Cause.SIMULATED_ELSEWHERE: (
        "{--simulate} runs against the built-in provider: it cannot be combined with {--base-url}"
    ),
    Cause.SIMULATED_JOB: "this job runs against the simulated provider: {--base-url} cannot move it to a real one",
    Cause.REAL_JOB: "this job runs against {base_url}: {--simulate} would mix made-up answers with real ones",
}
