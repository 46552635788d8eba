"""What a surface words for people: a cause and its parameters.

Code below the surfaces says *what* a person should know; the command line and the Python API each word it with the
names that their users know (`batcher/messages/`). A plain `str` in the place of a `Message` names no option and no
command, so it reads the same everywhere.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Union

import msgspec

#: Nested messages are worded first; several are put on a line each.
Parameter = Union[str, int, "Message", tuple[Union[str, "Message"], ...]]


class Message:
    """A cause and its parameters. It is worded by a surface, and stored and sent as JSON (`encode`)."""

    # No Struct: a JSON document for people must hold the words, so encoding an unworded message is an error.
    __slots__ = ("cause", "parameters")

    def __init__(self, cause: "Cause", parameters: Mapping[str, Parameter]) -> None:
        self.cause = cause
        self.parameters = dict(parameters)

    def replaced(self, **parameters: Parameter) -> "Message":
        """Return the message with these parameters added or replaced."""
        return Message(self.cause, {**self.parameters, **parameters})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self.cause is other.cause and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash(encode(self))

    def __repr__(self) -> str:
        return f"{self.cause}({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"


#: A text that reads the same on every surface, or a message.
Words = str | Message


class Cause(StrEnum):
    """Why a person reads something. `Cause.NO_CREDIT()` makes the message; the keywords are its parameters."""

    #: A text as it is: from a store of an earlier version, or one that reads the same on every surface. `job`: the
    #: job that waits, for a text of an earlier version whose commands name none.
    TEXT = "text"

    # Pauses: how to end them. `job` is the job that waits; without it, the steps that concern a job are left out.
    NO_CREDIT = "no_credit"
    SPEND_CAP = "spend_cap"
    #: No key was sent. `variable`: the one that holds none.
    KEY_MISSING = "key_missing"
    #: `place`: where the key is, if a header of one's own carries it; "" if not.
    KEY_REFUSED = "key_refused"
    UNKNOWN_HOST = "unknown_host"
    PROXY_LOGIN = "proxy_login"
    #: `location`: the address that the reply redirects to, or "".
    WRONG_BASE_URL = "wrong_base_url"
    OTHER_PATHS_ANSWER = "other_paths_answer"
    #: `address`: the new address that the provider names, or "".
    API_MOVED = "api_moved"
    UNKNOWN_MODEL = "unknown_model"
    NO_PERMISSION = "no_permission"
    ZERO_LIMIT = "zero_limit"
    REFUSED_FOR_GOOD = "refused_for_good"
    PAGE_INSTEAD = "page_instead"
    #: The endpoint could not be reached, or did not answer, for too long; by its last failure.
    UNREACHABLE = "unreachable"
    UNREACHABLE_TLS = "unreachable_tls"
    UNREACHABLE_DNS = "unreachable_dns"
    UNREACHABLE_TIMEOUT = "unreachable_timeout"
    SILENT = "silent"
    FORMAT_MISSED = "format_missed"
    #: `edit`: an EDIT_ message.
    SAME_FAILURE = "same_failure"
    CANNOT_SEND = "cannot_send"

    # The edit of bodies that a provider's message asks for.
    EDIT_SET = "edit_set"
    EDIT_UNSET = "edit_unset"
    EDIT_MOVE = "edit_move"
    #: Sets the maximum of an answer at `path`. `is_stated`: the body has it already.
    MAXIMUM = "maximum"

    # What to do about dead letters. The parameters are the fields of `policy.output.advice.Means`.
    LETTER_CONTEXT_LENGTH_EXCEEDED = "letter_context_length_exceeded"
    LETTER_CONTENT_FILTER = "letter_content_filter"
    LETTER_MODEL_NOT_FOUND = "letter_model_not_found"
    LETTER_TIMEOUT = "letter_timeout"
    LETTER_REFUSED_TOO_OFTEN = "letter_refused_too_often"
    LETTER_REQUEST_TOO_LARGE = "letter_request_too_large"
    LETTER_NEVER_FITS = "letter_never_fits"
    LETTER_REPLY_TOO_LARGE = "letter_reply_too_large"
    LETTER_INVALID_OUTPUT = "letter_invalid_output"
    LETTER_INVALID_JSON = "letter_invalid_json"
    LETTER_HTML_REPLY = "letter_html_reply"
    LETTER_NO_CHOICES = "letter_no_choices"
    LETTER_EMPTY_ANSWER = "letter_empty_answer"
    LETTER_TRUNCATED = "letter_truncated"
    LETTER_UNASKED_STREAM = "letter_unasked_stream"
    LETTER_NOT_JSON = "letter_not_json"
    LETTER_NULL_EMBEDDING = "letter_null_embedding"
    LETTER_FEWER_EMBEDDINGS = "letter_fewer_embeddings"
    LETTER_INTERNAL_ERROR = "letter_internal_error"
    LETTER_WORKER_LOST = "letter_worker_lost"
    LETTER_INVALID_REQUEST_ERROR = "letter_invalid_request_error"
    LETTER_TLS = "letter_tls"
    LETTER_DNS = "letter_dns"
    LETTER_KEY_REFUSED = "letter_key_refused"
    LETTER_NOT_PERMITTED = "letter_not_permitted"
    LETTER_NOT_FOUND = "letter_not_found"
    LETTER_PATH_REFUSED = "letter_path_refused"
    LETTER_NOT_SUPPORTED = "letter_not_supported"
    LETTER_ATTEMPTS_USED = "letter_attempts_used"
    LETTER_NETWORK = "letter_network"
    LETTER_AT_FAULT = "letter_at_fault"
    #: With the figures that the provider states: `longest`, `least` and `most` (the limits).
    LETTERS_OVER_CONTEXT = "letters_over_context"
    LETTERS_OVER_LIMIT = "letters_over_limit"
    #: Which letters: `job`, `code`, `kind`, `status`, each if given; or one `request`.
    SELECTION = "selection"
    #: Where rows go: `base_url` and the variable `key` ("": the default), or `is_simulated`.
    ENDPOINT = "endpoint"

    # What `doctor` found and advises.
    HOST_UNKNOWN = "host_unknown"
    CONNECTION_REFUSED = "connection_refused"
    TLS_FAILED = "tls_failed"
    NO_REPLY_IN_TIME = "no_reply_in_time"
    NOT_AN_API = "not_an_api"
    NOT_HTTP = "not_http"
    SIMPLE_REQUEST_REJECTED = "simple_request_rejected"
    NO_MODEL_SERVED = "no_model_served"
    NO_MODEL_KNOWN = "no_model_known"
    OR_NAME_A_MODEL = "or_name_a_model"
    OR_ANOTHER_MODEL = "or_another_model"
    BAD_ROWS_ANSWERED = "bad_rows_answered"
    BAD_ROWS_RETRIED = "bad_rows_retried"
    NO_LIMITS_KNOWN = "no_limits_known"
    SEE_SETTINGS = "see_settings"
    OTHER_STORE = "other_store"
    STORE_TO_COME = "store_to_come"
    STORE_FACTS = "store_facts"
    STORE_SPACE = "store_space"
    SEE_DB_CHECK = "see_db_check"
    COUNT_AGAIN = "count_again"

    # What to do about a store that cannot be opened, read or written.
    LIST_FAILED = "list_failed"
    LIST_JOBS = "list_jobs"
    MAKE_A_JOB = "make_a_job"
    MORE_OPEN_FILES = "more_open_files"
    NEWER_PYTHON = "newer_python"
    RUN_AS_OWNER = "run_as_owner"
    OTHER_STORE_FILE = "other_store_file"
    FREE_SPACE = "free_space"
    FILE_WRITABLE = "file_writable"
    DISK_REFUSED = "disk_refused"
    NAME_STORE_FILE = "name_store_file"
    OTHER_STORE_PLACE = "other_store_place"
    LOCAL_DISK = "local_disk"
    NAME_OTHER_PLACE = "name_other_place"
    LOCAL_DISK_FOR_STORE = "local_disk_for_store"
    SEVERAL_NAMES = "several_names"
    FOLDER_WRITABLE = "folder_writable"
    OTHER_FILE_OR_FORCE = "other_file_or_force"
    STORE_TOO_NEW = "store_too_new"
    UPGRADE_STORE = "upgrade_store"
    WRITABLE_OR_COPY = "writable_or_copy"
    COPY_STORE = "copy_store"
    NO_STORE = "no_store"

    # What to do about wrong use of a command, a setting or an argument.
    NOTHING_EDITED = "nothing_edited"
    SEE_BODY_UNCHANGED = "see_body_unchanged"
    SEE_BODY = "see_body"
    EXPORT_ONE_JOB = "export_one_job"
    OTHER_OUTPUT_OR_FORCE = "other_output_or_force"
    JOB_AND_REQUEST = "job_and_request"
    LIST_LETTERS = "list_letters"
    PROBE_LATER = "probe_later"
    LIST_NUMBERS = "list_numbers"
    NOT_A_NOTE = "not_a_note"
    OTHER_NOTE = "other_note"
    CACHE_CAVEAT = "cache_caveat"
    CONTINUE_THERE = "continue_there"
    NAME_ENDPOINT = "name_endpoint"
    CANCEL_FIRST = "cancel_first"
    DELETE_LATER = "delete_later"
    NAME_A_WORD = "name_a_word"
    FINISH_DELETION = "finish_deletion"
    FOLDER_MOVED = "folder_moved"
    OTHER_OUTPUT = "other_output"
    OTHER_RESULTS_FILE = "other_results_file"
    WRITE_AGAIN = "write_again"
    FINISH_FIRST = "finish_first"
    OTHER_PORT = "other_port"
    OTHER_JOURNAL = "other_journal"
    ALLOW_HTTP = "allow_http"
    NO_KEY = "no_key"
    NO_CONFIG_FILE = "no_config_file"
    NAME_CONFIG_FILE = "name_config_file"
    CORRECT_CA_FILE = "correct_ca_file"
    CA_FILE_FORM = "ca_file_form"
    KEY_VARIABLE = "key_variable"
    SHARED_ANSWER = "shared_answer"
    SHARED_ANSWERS = "shared_answers"
    RUN_THERE = "run_there"
    RUN_SIMULATED = "run_simulated"
    SIMULATED_ELSEWHERE = "simulated_elsewhere"
    SIMULATED_JOB = "simulated_job"
    REAL_JOB = "real_job"
    BUNDLE_HAS_CONTENT = "bundle_has_content"
    BUNDLE_BODY = "bundle_body"
    BUNDLE_SIMULATED = "bundle_simulated"

    #: A note about valid lines that name a placeholder for a model. `lines`: how many, with their verb.
    PLACEHOLDER_MODEL = "placeholder_model"

    # What to do about invalid lines of a job file. `form`: a `Form`; `keys`: the keys or columns of its rows.
    OF_FORM = "of_form"
    #: Several pieces of advice, each on a line.
    LINES = "lines"
    FIX_LINES = "fix_lines"
    FIX_LINES_OR = "fix_lines_or"
    SKIP_INVALID = "skip_invalid"
    RUN_SKIPPING = "run_skipping"

    def __call__(self, **parameters: Parameter) -> Message:
        """Make the message."""
        return Message(self, parameters)


def encode(message: Message) -> str:
    """Encode as JSON: `{"cause": "no_credit", "job": 3}`; nested messages are objects, too."""
    return msgspec.json.encode(_plain(message)).decode()


def decode(text: str) -> Message:
    """Decode what `encode` made. Anything else is a text that an earlier version stored."""
    try:
        found = _revived(msgspec.json.decode(text)) if text.startswith("{") else text
    except (msgspec.DecodeError, ValueError):
        found = text
    return found if isinstance(found, Message) else Cause.TEXT(text=text)


def pack(words: Words) -> str:
    """Return the words as a text to store or to send; `unpack` reads it."""
    return words if isinstance(words, str) else encode(words)


def unpack(text: str) -> Words:
    """Return what `pack` was given."""
    found = decode(text)
    return text if found == Cause.TEXT(text=text) else found


def mapped(words: Words, change: Callable[[str], str]) -> Words:
    """Return the words with every text in them changed, to redact them for example."""
    return change(words) if isinstance(words, str) else _mapped(words, change)


def _mapped(message: Message, change: Callable[[str], str]) -> Message:
    return Message(message.cause, {name: _changed(value, change) for name, value in message.parameters.items()})


def _changed(value: Parameter, change: Callable[[str], str]) -> Parameter:
    match value:
        case str():
            return change(value)
        case int():
            return value
        case Message():
            return _mapped(value, change)
        case _:
            return tuple(mapped(each, change) for each in value)


def _plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case Message(cause=cause, parameters=parameters):
            return {"cause": cause.value, **{name: _plain(each) for name, each in parameters.items()}}
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _revived(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case {"cause": str(cause), **parameters}:
            return Message(Cause(cause), {str(name): _revived(each) for name, each in parameters.items()})
        case list():
            return tuple(_revived(each) for each in value)
        case _:
            return value
