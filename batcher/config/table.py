"""The table of settings: the one place that spells each of them. Its order is that of `--help`.

The flags, batcher.toml, the arguments in Python, `--help` and docs/configuration.md are made from it. A new
setting is a row here, and a field of `JobSettings` or `ProcessSettings`, which holds its default.
"""

from typing import Any, Final

from batcher.config import checks
from batcher.config.headers import header_variables
from batcher.config.setting import Figures, Keeper, Setting
from batcher.domain.states import CacheMode
from batcher.policy.wording.url_secrets import shown_base_url

#: The table of batcher.toml that may hold a table for each model.
LIMITS_TABLE: Final = "limits"
_ANNOUNCED: Final = "announced by the provider"


def _seconds(value: float) -> str:
    return f"{value:.15g} s"


def _figure(value: float) -> str:
    return f"{value:.15g}"


BASE_URL: Final = Setting[str](
    name="base_url",
    keeper=Keeper.JOB,
    check=checks.base_url,
    help="Base URL of the endpoint.",
    metavar="URL",
    toml=("provider", "base_url"),
    variable="OPENAI_BASE_URL",
    is_of_endpoint=True,
    label="base URL",
    shown=shown_base_url,
)
API_KEY_ENV: Final = Setting[str](
    name="api_key_env",
    keeper=Keeper.JOB,
    check=checks.variable,
    help="Environment variable that holds the API key.",
    metavar="NAME",
    toml=("provider", "api_key_env"),
    is_of_endpoint=True,
    label="key variable",
)
HEADERS: Final = Setting[dict[str, str]](
    name="headers",
    keeper=Keeper.JOB,
    check=header_variables,
    help="Extra headers: each names the environment variable that holds its value.",
    kind=dict,
    has_flag=False,
    toml=("provider", "headers"),
    default_words="none",
    is_of_endpoint=True,
    label="variable of the header",
)


def _limit(name: str, words: str, *, has_flag: bool = False) -> Setting[Figures]:
    of_a_model = "; MODEL=N for one model" if has_flag else ""
    return Setting(
        name=name,
        keeper=Keeper.JOB,
        check=checks.positive,
        help=f"{words} per {'day' if name.endswith('d') else 'minute'}{of_a_model}.",
        metavar="N",
        has_flag=has_flag,
        toml=(LIMITS_TABLE, name),
        default_words=_ANNOUNCED,
        is_per_model=True,
        is_live=has_flag,
        label=name,
        shown=_figure,
    )


RPM: Final = _limit("rpm", "Requests", has_flag=True)
TPM: Final = _limit("tpm", "Tokens", has_flag=True)
INPUT_TPM: Final = _limit("input_tpm", "Input tokens")
OUTPUT_TPM: Final = _limit("output_tpm", "Output tokens")
RPD: Final = _limit("rpd", "Requests")
TPD: Final = _limit("tpd", "Tokens")
CONCURRENCY: Final = Setting[int](
    name="concurrency",
    keeper=Keeper.PROCESS,
    check=checks.concurrency,
    help="Maximum requests in flight.",
    kind=int,
    metavar="N",
    toml=("run", "concurrency"),
    default_words="adaptive",
    is_live=True,
)
MAX_ATTEMPTS: Final = Setting[int](
    name="max_attempts",
    keeper=Keeper.JOB,
    check=checks.attempts,
    help="Maximum attempts per row.",
    kind=int,
    metavar="N",
    toml=("retry", "max_attempts"),
    is_live=True,
    label="most attempts",
)
TIMEOUT: Final = Setting[float](
    name="timeout",
    keeper=Keeper.JOB,
    check=checks.timeout,
    help="Maximum seconds per attempt.",
    kind=float,
    metavar="S",
    toml=("retry", "timeout"),
    is_duration=True,
    label="timeout",
    shown=_seconds,
)
MAX_WAIT: Final = Setting[float](
    name="max_wait",
    keeper=Keeper.JOB,
    check=checks.wait,
    help="Maximum seconds without an answer before the job pauses.",
    kind=float,
    metavar="S",
    toml=("retry", "max_wait"),
    is_duration=True,
    label="longest wait",
    shown=_seconds,
)
MAX_COST: Final = Setting[float](
    name="max_cost",
    keeper=Keeper.JOB,
    check=checks.positive,
    help="Not supported yet: batcher knows no prices.",
    kind=float,
    metavar="USD",
    toml=("run", "max_cost"),
    is_live=True,
    is_supported=False,
    label="cost cap",
    shown=lambda value: "none" if value is None else f"${value:.15g}",
)
CACHE: Final = Setting[CacheMode](
    name="cache",
    keeper=Keeper.JOB,
    check=checks.cache_mode,
    help="Reuse answers: all, deterministic (temperature 0 or a seed) or off.",
    choices=tuple(mode.value for mode in CacheMode),
    off_flag="--no-cache",
    toml=("cache", "mode"),
    default_words="all; at a loopback endpoint, and with {--simulate}, answers of earlier jobs only if {--cache} "
    "all is given",
    label="cache",
)
VALIDATE_OUTPUT: Final = Setting[bool](
    name="validate_output",
    keeper=Keeper.JOB,
    check=checks.switch,
    help="Check each answer against the JSON format that its request asks for.",
    kind=bool,
    can_be_denied=True,
    toml=("run", "validate_output"),
    label="structured output",
    shown=lambda value: "validated" if value else "not validated",
)
FAIL_TRUNCATED: Final = Setting[bool](
    name="fail_truncated",
    keeper=Keeper.JOB,
    check=checks.switch,
    help="Make dead letters of answers that are cut at their token limit.",
    kind=bool,
    can_be_denied=True,
    toml=("run", "fail_truncated"),
    label="truncated answers",
    shown=lambda value: "dead letters" if value else "delivered",
)
ALLOW_HTTP: Final = Setting[bool](
    name="allow_http",
    keeper=Keeper.JOB,
    check=checks.switch,
    help="Allow a key over plain HTTP to a public host.",
    kind=bool,
    toml=("provider", "allow_http"),
    is_of_endpoint=True,
    label="plain http with a key",
    shown=lambda value: "allowed" if value else "refused",
)
CA_FILE: Final = Setting[str](
    name="ca_file",
    keeper=Keeper.JOB,
    check=checks.text,
    help="CA certificates, in PEM.",
    metavar="FILE",
    toml=("provider", "ca_file"),
    variable="SSL_CERT_FILE",
    default_words="the system's",
    is_path=True,
    is_of_endpoint=True,
    label="CA file",
    shown=lambda value: value or "the system's",
)
SIMULATE: Final = Setting[bool](
    name="simulate",
    keeper=Keeper.JOB,
    check=checks.switch,
    help="Use the built-in simulated provider; needs no key.",
    kind=bool,
    label="simulated provider",
    shown=lambda value: "yes" if value else "no",
)
DB: Final = Setting[str](
    name="db",
    keeper=Keeper.PROCESS,
    check=checks.store_path,
    help="Path of the store.",
    metavar="PATH",
    toml=("store", "db"),
    variable="BATCHER_DB",
    is_path=True,
)
LOG_FILE: Final = Setting[str](
    name="log_file",
    keeper=Keeper.PROCESS,
    check=checks.text,
    help="Append the log to this file instead of stderr.",
    metavar="FILE",
)
LOG_FORMAT: Final = Setting[str](
    name="log_format",
    keeper=Keeper.PROCESS,
    check=checks.text,
    help="Log format.",
    choices=("text", "json"),
    default_words="text",
)

#: The settings of a run: options of `run`, `submit`, `resume` and `doctor`.
RUN_SETTINGS: Final[tuple[Setting[Any], ...]] = (
    *(BASE_URL, API_KEY_ENV, HEADERS),
    *(RPM, TPM, INPUT_TPM, OUTPUT_TPM, RPD, TPD),
    *(CONCURRENCY, MAX_ATTEMPTS, TIMEOUT, MAX_WAIT, MAX_COST),
    *(CACHE, VALIDATE_OUTPUT, FAIL_TRUNCATED, ALLOW_HTTP, CA_FILE, SIMULATE),
)
#: The settings that every command has.
SHARED_SETTINGS: Final[tuple[Setting[Any], ...]] = (DB, LOG_FILE, LOG_FORMAT)
SETTINGS: Final = (*RUN_SETTINGS, *SHARED_SETTINGS)
BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
#: The settings that are arguments in Python. Limits are given there as `Limits`.
ARGUMENTS: Final = tuple(
    setting for setting in RUN_SETTINGS if setting.has_flag and setting.is_supported and not setting.is_per_model
)
JOB_SETTINGS: Final = tuple(setting for setting in SETTINGS if setting.keeper is Keeper.JOB)
LIMITS: Final = tuple(setting for setting in SETTINGS if setting.is_per_model)
#: The tables of batcher.toml, and the keys of each.
TABLES: Final = {
    table: tuple(setting.toml[1] for setting in SETTINGS if setting.toml and setting.toml[0] == table)
    for table in dict.fromkeys(setting.toml[0] for setting in SETTINGS if setting.toml)
}
