"""What flags and variables may say, and the errors that name them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.config import SIMULATED_BASE_URL, FileSettings, Flags, resolve_job, resolve_process
from batcher.config.limits import read_figure, read_figures
from batcher.domain.errors import ConfigError
from batcher.domain.settings import JobSettings, Limits
from tests.support.messages import words

NAN, INF = float("nan"), float("inf")


def resolve(flags: Flags, environ: dict[str, str] | None = None, kept: JobSettings | None = None) -> JobSettings:
    return resolve_job(flags, remembered=kept, environ=environ or {}, file=FileSettings())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (Flags(max_attempts=0), "--max-attempts must be from 1 to 100, not 0"),
        (Flags(max_attempts=101), "--max-attempts must be from 1 to 100, not 101"),
        (Flags(timeout=0), "--timeout must be greater than 0, not 0"),
        (Flags(timeout=-1.5), "--timeout must be greater than 0, not -1.5"),
        (Flags(timeout=NAN), "--timeout must be a finite number"),
        (Flags(timeout=INF), "--timeout must be a finite number"),
        (Flags(timeout=1e9), "--timeout must be at most 31536000 seconds (a year), not 1000000000"),
        (Flags(max_wait=-1), "--max-wait must be 0 or more seconds, not -1"),
        (Flags(max_wait=INF), "--max-wait must be a finite number"),
        (Flags(max_cost=0), "--max-cost must be greater than 0, not 0"),
        (Flags(max_cost=NAN), "--max-cost must be a finite number"),
        (Flags(cache="some"), "--cache must be all, deterministic or off, not 'some'"),
        (Flags(ca_file=" "), "--ca-file is empty"),
        (Flags(api_key_env=""), "--api-key-env is empty"),
        (Flags(base_url=""), "--base-url"),
        (Flags(base_url="ftp://example.com/v1"), "--base-url"),
        (Flags(rpm=("0",)), "--rpm must be a number greater than 0, not '0'"),
        (Flags(rpm=("-5",)), "--rpm must be a number greater than 0, not '-5'"),
        (Flags(rpm=("many",)), "--rpm must be a number greater than 0, not 'many'"),
        (Flags(tpm=("",)), "--tpm must be a number greater than 0, not ''"),
        (Flags(tpm=("m=",)), "--tpm must be a number greater than 0, not ''"),
        (Flags(tpm=("m=x",)), "--tpm must be a number greater than 0, not 'x'"),
        (Flags(rpm=("=500",)), "--rpm '=500' names no model before ="),
        (Flags(rpm=("m=1", "m=2")), "--rpm is given twice for m: 1 and 2"),
        (Flags(tpm=("1", "2")), "--tpm is given twice: 1 and 2"),
        (Flags(simulate=True, base_url="https://a.example/v1"), "--simulate runs against the built-in provider"),
    ],
)
def test_a_wrong_flag_is_named_in_the_error(flags: Flags, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(flags)
    assert words(caught.value.message).startswith(says)


@pytest.mark.parametrize(
    "flags",
    [
        Flags(max_attempts=1),
        Flags(max_attempts=100),
        Flags(max_wait=0),
        Flags(timeout=0.001),
        Flags(timeout=31_536_000),
        Flags(max_cost=0.01),
        Flags(rpm=("m=1", "m=1")),
    ],
)
def test_the_ends_of_the_ranges_are_taken(flags: Flags) -> None:
    assert isinstance(resolve(flags), JobSettings)


@pytest.mark.parametrize(
    ("written", "figure"),
    [
        ("500", 500),
        (" 500 ", 500),
        ("0.5", 0.5),
        ("200_000", 200_000),
        ("200,000", 200_000),
        ("1,234,567", 1_234_567),
        ("200k", 200_000),
        ("200K", 200_000),
        ("2.3M", 2_300_000),
        ("1,5", None),
        ("1,00", None),
        ("1234,567", None),
        ("1__0", None),
        ("_1", None),
        ("1_", None),
        ("1e5", None),
        ("0", None),
        ("0.0", None),
        ("-1", None),
        ("+1", None),
        ("nan", None),
        ("inf", None),
        (".5", None),
        ("٣", None),
        ("9" * 400, None),
        ("500/min", None),
    ],
)
def test_figures_are_read_as_limit_pages_write_them(written: str, figure: float | None) -> None:
    assert read_figure(written) == figure


@given(st.integers(min_value=1, max_value=10**15))
def test_a_figure_reads_the_same_in_every_spelling(figure: int) -> None:
    assert {read_figure(f"{figure}"), read_figure(f"{figure:_}"), read_figure(f"{figure:,}")} == {float(figure)}


@given(st.text(min_size=1).filter(lambda name: name.strip() == name), st.integers(min_value=1, max_value=10**9))
def test_a_models_name_may_hold_anything(model: str, figure: int) -> None:
    assert read_figures((f"{model}={figure}",), "--rpm") == {model: figure}


def test_a_models_limit_is_split_at_the_last_equals_sign() -> None:
    assert resolve(Flags(rpm=("ft:a=b=500",))).model_limits == {"ft:a=b": Limits(rpm=500)}


def test_rpm_and_tpm_of_a_model_stand_together() -> None:
    settings = resolve(Flags(rpm=("500", "m=5"), tpm=("m=200k", "n=1M")))
    assert settings.limits == Limits(rpm=500)
    assert settings.model_limits == {"m": Limits(rpm=5, tpm=200_000), "n": Limits(tpm=1_000_000)}


@pytest.mark.parametrize(
    ("db", "says"),
    [
        ("postgresql://ann:hunter2@db/x", "--db: PostgreSQL is not supported yet; use a file"),
        ("postgresql+psycopg://ann:hunter2@db/x", "--db: PostgreSQL is not supported yet; use a file"),
        ("POSTGRES://ann:hunter2@db/x", "--db: PostgreSQL is not supported yet; use a file"),
        ("mysql://ann:hunter2@db/x", "--db: the store can be a path or a sqlite:/// URL"),
        ("sqlite://", "--db: the store must be a file"),
        ("sqlite:///", "--db: the store must be a file"),
        ("sqlite:///:memory:", "--db: the store must be a file"),
        (":memory:", "--db: the store must be a file"),
        ("sqlite://hunter2/x.db", "--db: a sqlite URL has three slashes"),
        ("sqlite:///x.db?password=hunter2", "--db: the store's URL takes no parameters"),
        ("folder/", "--db must name a file, not a folder"),
        ("a\0b", "--db must name a file"),
        ("", "--db is empty"),
    ],
)
def test_a_store_that_is_no_file_is_refused_without_its_password(db: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_process(Flags(db=db), {}, FileSettings())
    assert words(caught.value.message).startswith(says)
    assert words(caught.value.hint)
    assert "hunter2" not in words(caught.value.message) + words(caught.value.hint)


def test_the_variable_of_the_store_is_named_in_its_error() -> None:
    with pytest.raises(ConfigError, match=r"^BATCHER_DB: PostgreSQL is not supported yet"):
        resolve_process(Flags(), {"BATCHER_DB": "postgresql://db/x"}, FileSettings())


def test_the_variable_of_the_base_url_is_named_in_its_error() -> None:
    with pytest.raises(ConfigError, match=r"^OPENAI_BASE_URL"):
        resolve(Flags(), {"OPENAI_BASE_URL": "ftp://example.com"})


@pytest.mark.parametrize(("count", "says"), [(0, "not 0"), (-3, "not -3")])
def test_concurrency_is_at_least_one(count: int, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^--concurrency must be at least 1, {says}"):
        resolve_process(Flags(concurrency=count), {}, FileSettings())


def test_the_base_url_is_normalized() -> None:
    assert resolve(Flags(base_url="HTTPS://API.Example.com/v1/")).base_url == "https://api.example.com/v1"


def test_simulation_has_one_base_url_whatever_the_environment_says() -> None:
    settings = resolve(Flags(simulate=True), {"OPENAI_BASE_URL": "nonsense"})
    assert (settings.simulate, settings.base_url) == (True, SIMULATED_BASE_URL)


def test_a_simulated_job_stays_simulated() -> None:
    kept = resolve(Flags(simulate=True))
    assert resolve(Flags(), kept=kept) == kept
    assert resolve(Flags(simulate=True), kept=kept) == kept


@pytest.mark.parametrize(
    ("kept", "flags"),
    [
        (JobSettings(base_url=SIMULATED_BASE_URL, simulate=True), Flags(base_url="https://a.example/v1")),
        (JobSettings(base_url="https://a.example/v1"), Flags(simulate=True)),
    ],
)
def test_a_job_never_mixes_simulated_and_real_answers(kept: JobSettings, flags: Flags) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(flags, kept=kept)
    assert "batcher run FILE" in words(caught.value.hint)


@pytest.mark.parametrize(
    "pasted",
    [
        "sk-proj-abcdefghijklmnop",
        "gsk_abcdefghijklmnopqrstuvwx",
        "hf_abcdefghijklmnopqrst",
        "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
        "Zx81kQ0pLmN7tRvWyB4cD2eF",
        "0123456789abcdef",
    ],
)
def test_a_key_given_in_place_of_its_variables_name_is_refused_and_not_repeated(pasted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(Flags(api_key_env=pasted))
    assert words(caught.value.message).startswith("--api-key-env")
    assert pasted not in words(caught.value.message) + words(caught.value.hint)


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "my_openai_key_for_project_2", "K", "GROQ_API_KEY_2024_PRODUCTION"]
)
def test_a_variable_may_have_any_ordinary_name(name: str) -> None:
    assert resolve(Flags(api_key_env=name)).api_key_env == name


def test_a_name_that_looks_like_a_key_is_taken_where_such_a_variable_is_set() -> None:
    name = "a1b2c3d4e5f6a7b8c9d0e1f2"
    assert resolve(Flags(api_key_env=name), {name: "k"}).api_key_env == name
