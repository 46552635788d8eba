"""batcher.toml: what it may say, and how its errors help."""

from pathlib import Path

import pytest

from batcher.config import FileSettings, load_file
from batcher.config.layers import Layer
from batcher.config.table import DB
from batcher.domain.errors import ConfigError
from batcher.domain.settings import LIMIT_NAMES
from batcher.domain.states import CacheMode
from tests.support.messages import words

EVERYTHING = """
[provider]
base_url = "https://API.example.com/v1/"
api_key_env = "EXAMPLE_KEY"
allow_http = true
ca_file = "ca.pem"
[provider.headers]
OpenAI-Project = "OPENAI_PROJECT"
[limits]
rpm = 100
tpm = 30_000
[limits."gpt-4.1"]
rpm = 0.5
[limits.plain-name]
tpm = 7
[retry]
max_attempts = 3
timeout = 30
max_wait = 0
[cache]
mode = "deterministic"
[store]
db = "queue/a.db"
[run]
concurrency = 16
validate_output = false
fail_truncated = true
"""


def write(folder: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "batcher.toml").write_bytes(data)


def refusal(folder: Path, text: str | bytes) -> tuple[str, str]:
    write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_file(None, folder)
    return words(caught.value.message), words(caught.value.hint)


def test_every_key_of_the_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING)
    assert load_file(None, tmp_path) == FileSettings(
        source="batcher.toml",
        given=Layer(
            base_url="https://api.example.com/v1",
            api_key_env="EXAMPLE_KEY",
            headers={"OpenAI-Project": "OPENAI_PROJECT"},
            rpm={None: 100, "gpt-4.1": 0.5},
            tpm={None: 30_000, "plain-name": 7},
            max_attempts=3,
            timeout=30,
            max_wait=0,
            cache=CacheMode.DETERMINISTIC,
            allow_http=True,
            validate_output=False,
            fail_truncated=True,
            ca_file=str(tmp_path / "ca.pem"),
            db=str(tmp_path / "queue/a.db"),
            concurrency=16,
        ),
    )


def test_a_missing_default_file_says_nothing(tmp_path: Path) -> None:
    assert load_file(None, tmp_path) == FileSettings()


@pytest.mark.parametrize("text", ["", "# nothing\n", "[provider]\n", b"\xef\xbb\xbf[retry]\r\n"])
def test_a_file_that_sets_nothing_gives_nothing(tmp_path: Path, text: str | bytes) -> None:
    write(tmp_path, text)
    assert load_file(None, tmp_path) == FileSettings(source="batcher.toml")


def test_a_named_file_is_read_from_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "other.toml").write_text('[store]\ndb = "a.db"')
    settings = load_file(Path("sub/other.toml"), tmp_path)
    assert (settings.source, settings.given.get(DB)) == ("sub/other.toml", str(tmp_path / "sub" / "a.db"))


def test_a_home_in_a_path_is_left_for_the_resolver(tmp_path: Path) -> None:
    write(tmp_path, '[store]\ndb = "~/a.db"')
    assert load_file(None, tmp_path).given.get(DB) == "~/a.db"


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_file(Path("gone.toml"), tmp_path)
    assert words(caught.value.message) == "--config gone.toml: no such file"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "batcher.toml").mkdir()
    with pytest.raises(ConfigError, match=r"^batcher\.toml cannot be read"):
        load_file(None, tmp_path)


@pytest.mark.parametrize(
    ("text", "says", "advises"),
    [
        ("[provider]\nbase_ulr = 1", "unknown key provider.base_ulr", "did you mean base_url?"),
        ("[provider]\nzzz = 1", "unknown key provider.zzz", "known here: base_url, api_key_env"),
        ("[retry]\nattempts = 1", "unknown key retry.attempts", "did you mean max_attempts?"),
        ("[provider]\nmax_attempts = 1", "unknown key provider.max_attempts", "max_attempts belongs in [retry]"),
        ("[provider]\ntimeuot = 1", "unknown key provider.timeuot", "did you mean timeout in [retry]?"),
        ("rpm = 500", "unknown key rpm", "rpm belongs in [limits]"),
        ("[limits]\nrpn = 500", "unknown key limits.rpn", "did you mean rpm?"),
        ("[cache]\nmodes = 'all'", "unknown key cache.modes", "did you mean mode?"),
        ("[store]\npath = 'a'", "unknown key store.path", "known here: db"),
        ("[run]\nmaxcost = 1", "unknown key run.maxcost", "did you mean max_cost?"),
        ("[providers]\n", "unknown table [providers]", "did you mean [provider]?"),
        ("[zzz]\n", "unknown table [zzz]", "the tables are [provider], [limits]"),
        ('[limits."m"]\nrps = 1', 'limits."m" has an unknown key: rps', "did you mean rpm?"),
        ("[limits.gpt-4.1]\nrpm = 1", 'limits."gpt-4" contains a table: 1', 'quotes: [limits."gpt-4.1"]'),
        ('[limits.""]\nrpm = 1', 'limits."" names no model', "gpt-4o-mini"),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(tmp_path: Path, text: str, says: str, advises: str) -> None:
    message, hint = refusal(tmp_path, text)
    assert message == f"batcher.toml: {says}"
    assert advises in hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("provider = 'x'", "provider must be a table, not a string"),
        ("[provider]\nbase_url = 1", "provider.base_url must be a string, not a whole number"),
        ("[provider]\nbase_url = ''", "provider.base_url is empty"),
        ("[provider]\nallow_http = 'yes'", "provider.allow_http must be true or false, not a string"),
        ("[provider]\nca_file = true", "provider.ca_file must be a string, not true or false"),
        ("[provider]\nheaders = []", "provider.headers must be a table, not a list"),
        ("[provider.headers]\nX-A = 1", "provider.headers.X-A must be a string, not a whole number"),
        ("[limits]\nrpm = '500'", "limits.rpm must be a number, not a string"),
        ("[limits]\nrpm = 0", "limits.rpm must be greater than 0, not 0"),
        ("[limits]\ntpm = inf", "limits.tpm must be a finite number"),
        ("[limits]\ntpm = true", "limits.tpm must be a number, not true or false"),
        (f"[limits]\ntpm = 1{'0' * 400}", "limits.tpm must be a finite number"),
        ('[limits."m"]\nrpm = -1', 'limits."m".rpm must be greater than 0, not -1'),
        ("[retry]\nmax_attempts = 2.5", "retry.max_attempts must be a whole number, not 2.5"),
        ("[retry]\nmax_attempts = 0", "retry.max_attempts must be from 1 to 100, not 0"),
        ("[retry]\ntimeout = 2024-01-01", "retry.timeout must be a number, not a date or time"),
        ("[retry]\nmax_wait = nan", "retry.max_wait must be a finite number"),
        ("[cache]\nmode = 'on'", "cache.mode must be all, deterministic or off, not 'on'"),
        ("[run]\nvalidate_output = 'no'", "run.validate_output must be true or false, not a string"),
        ("[run]\nconcurrency = 0", "run.concurrency must be at least 1, not 0"),
        ("[run]\nmax_cost = 2.5", "run.max_cost is not supported yet: batcher knows no prices"),
        ("[store]\ndb = 'postgresql://ann:hunter2@db/x'", "store.db: PostgreSQL is not supported yet; use a file"),
    ],
)
def test_a_wrong_value_names_the_file_the_key_and_what_is_expected(tmp_path: Path, text: str, says: str) -> None:
    message, _ = refusal(tmp_path, text)
    assert message == f"batcher.toml: {says}"


def test_a_wrong_base_url_names_its_key(tmp_path: Path) -> None:
    message, _ = refusal(tmp_path, '[provider]\nbase_url = "ftp://example.com"')
    assert message.startswith("batcher.toml: provider.base_url")


@pytest.mark.parametrize(
    "text",
    [
        "[provider]\napi_key = 'sk-hunter2'",
        "[provider]\nkey = 'sk-hunter2'",
        "[provider]\napi-key = 'sk-hunter2'",
        "[provider]\nOPENAI_API_KEY = 'sk-hunter2'",
        "api_key = 'sk-hunter2'",
        "[run]\ntoken = 'sk-hunter2'",
    ],
)
def test_a_key_in_the_file_is_refused_with_the_advice_to_name_a_variable(tmp_path: Path, text: str) -> None:
    message, hint = refusal(tmp_path, text)
    assert "a key does not belong in the file" in message
    assert "api_key_env" in hint
    assert "hunter2" not in message + hint


@pytest.mark.parametrize(
    "text", ["[provider]\napi_key_env = 'sk-hunter2'", "[provider.headers]\nX-Auth = 'Bearer hunter2'"]
)
def test_a_key_in_place_of_a_variables_name_is_not_repeated(tmp_path: Path, text: str) -> None:
    message, hint = refusal(tmp_path, text)
    assert "takes the name of an environment variable" in message
    assert "hunter2" not in message + hint


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("[limits]\n\nrpm = \n", "batcher.toml:3: "),
        ("[limits\n", "batcher.toml:1: "),
        ("[limits]\nrpm = 1\nrpm = 2\n", "batcher.toml:3: "),
        ('[provider]\nbase_url = "', "batcher.toml:2: "),
        ("[provider]\nbase_url = https://example.com\n", "batcher.toml:2: "),
        (b"[provider]\n\nca_file = '\xff'\n", "batcher.toml:3: not UTF-8"),
        (f"[limits]\nrpm = {'9' * 5000}", "batcher.toml: "),
        ("x = " + "[" * 5000, "batcher.toml: "),
    ],
)
def test_a_syntax_error_names_the_line(tmp_path: Path, text: str | bytes, starts: str) -> None:
    message, hint = refusal(tmp_path, text)
    assert message.startswith(starts)
    assert hint


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Host", "the header Host cannot be set"),
        ("content-length", "the header content-length cannot be set"),
        ("Transfer-Encoding", "the header Transfer-Encoding cannot be set"),
        ("Content-Type", "the header Content-Type cannot be set"),
        ("Authorization", "the header Authorization cannot be set"),
        ("X-Client-Request-Id", "the header X-Client-Request-Id cannot be set"),
        ("bad name", "'bad name' is not a header name"),
        ("", "'' is not a header name"),
        (r"X\r\nHost", r"'X\r\nHost' is not a header name"),
        ("Ünicode", "'Ünicode' is not a header name"),
    ],
)
def test_headers_that_would_break_the_protocol_are_refused(tmp_path: Path, name: str, says: str) -> None:
    message, hint = refusal(tmp_path, f'[provider.headers]\n"{name}" = "V"')
    assert message == f"batcher.toml: provider.headers: {says}"
    assert hint


def test_a_header_stands_once_whatever_its_case(tmp_path: Path) -> None:
    message, _ = refusal(tmp_path, '[provider.headers]\nX-Team = "A"\nx-team = "B"')
    assert message == "batcher.toml: provider.headers: the header x-team is given twice"


def test_every_limit_may_be_given_for_all_models_and_for_one(tmp_path: Path) -> None:
    plain = {name: 10.0 + number for number, name in enumerate(LIMIT_NAMES)}
    own = {name: 20.0 + number for number, name in enumerate(LIMIT_NAMES)}
    tables = ("\n".join(f"{name} = {figure}" for name, figure in table.items()) for table in (plain, own))
    write(tmp_path, '[limits]\n{}\n[limits."m"]\n{}\n'.format(*tables))
    figures = {name: {None: plain[name], "m": own[name]} for name in LIMIT_NAMES}
    assert load_file(None, tmp_path).given == Layer(**figures)
