"""Flag > what the job remembers > environment > batcher.toml > default, for every setting and every pair."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from batcher.config import FileSettings, Flags, resolve_job, resolve_process
from batcher.config.layers import Layer
from batcher.config.limits import figures_of
from batcher.domain.settings import LIMIT_NAMES, JobSettings, Limits, ProcessSettings
from batcher.domain.states import CacheMode

LAYERS = ("flag", "remembered", "environment", "file", "default")

#: Setting → what each layer gives for it, and what comes out; a layer that cannot give it is left out.
VALUES: dict[str, dict[str, tuple[Any, Any]]] = {
    "base_url": {
        "flag": ("https://flag.example/v1", "https://flag.example/v1"),
        "remembered": ("https://kept.example/v1", "https://kept.example/v1"),
        "environment": ("https://env.example/v1", "https://env.example/v1"),
        "file": ("https://file.example/v1", "https://file.example/v1"),
        "default": (None, "https://api.openai.com/v1"),
    },
    "api_key_env": {
        "flag": ("FLAG_KEY", "FLAG_KEY"),
        "remembered": ("KEPT_KEY", "KEPT_KEY"),
        "file": ("FILE_KEY", "FILE_KEY"),
        "default": (None, "OPENAI_API_KEY"),
    },
    "max_attempts": {"flag": (2, 2), "remembered": (3, 3), "file": (4, 4), "default": (None, 6)},
    "timeout": {"flag": (2.5, 2.5), "remembered": (3.5, 3.5), "file": (4.5, 4.5), "default": (None, 600.0)},
    "max_wait": {"flag": (0.0, 0.0), "remembered": (3.0, 3.0), "file": (4.0, 4.0), "default": (None, 3600.0)},
    "max_cost": {"flag": (2.0, 2.0), "remembered": (3.0, 3.0), "file": (4.0, 4.0), "default": (None, None)},
    "cache": {
        "flag": ("deterministic", CacheMode.DETERMINISTIC),
        "remembered": (CacheMode.OFF, CacheMode.OFF),
        "file": (CacheMode.DETERMINISTIC, CacheMode.DETERMINISTIC),
        "default": (None, CacheMode.ALL),
    },
    "allow_http": {
        "flag": (True, True),
        "remembered": (False, False),
        "file": (True, True),
        "default": (None, False),
    },
    "ca_file": {
        "flag": ("/flag.pem", "/flag.pem"),
        "remembered": ("/kept.pem", "/kept.pem"),
        "environment": ("/env.pem", "/env.pem"),
        "file": ("/file.pem", "/file.pem"),
        "default": (None, None),
    },
    "validate_output": {
        "flag": (True, True),
        "remembered": (False, False),
        "file": (False, False),
        "default": (None, True),
    },
    "fail_truncated": {
        "flag": (False, False),
        "remembered": (True, True),
        "file": (True, True),
        "default": (None, False),
    },
    "headers": {
        "remembered": ({"X-Team": "KEPT"}, {"X-Team": "KEPT"}),
        "file": ({"X-Team": "FILE"}, {"X-Team": "FILE"}),
        "default": (None, {}),
    },
}

VARIABLES = {"base_url": "OPENAI_BASE_URL", "ca_file": "SSL_CERT_FILE"}

PAIRS = [
    pytest.param(setting, upper, lower, id=f"{setting}: {upper} over {lower}")
    for setting, values in VALUES.items()
    for upper, lower in pairwise([layer for layer in LAYERS if layer in values])
]


def resolve_with(setting: str, *layers: str) -> object:
    """What comes out where exactly these layers give the setting."""
    given = {layer: VALUES[setting][layer][0] for layer in layers if layer != "default"}
    flags = Flags(**{setting: given["flag"]}) if "flag" in given else Flags()
    remembered = (
        JobSettings(**{"base_url": "https://kept.example/v1", setting: given["remembered"]})
        if "remembered" in given
        else None
    )
    environ = {VARIABLES[setting]: given["environment"]} if "environment" in given else {}
    file = FileSettings(given=Layer(**{setting: given["file"]})) if "file" in given else FileSettings()
    settings = resolve_job(flags, remembered=remembered, environ=environ, file=file)
    return getattr(settings, setting)


@pytest.mark.parametrize(("setting", "upper", "lower"), PAIRS)
def test_the_upper_layer_wins(setting: str, upper: str, lower: str) -> None:
    assert resolve_with(setting, upper, lower) == VALUES[setting][upper][1]


@pytest.mark.parametrize(
    ("setting", "layer"), [(setting, layer) for setting, values in VALUES.items() for layer in values]
)
def test_a_layer_alone_is_heard(setting: str, layer: str) -> None:
    assert resolve_with(setting, layer) == VALUES[setting][layer][1]


@pytest.mark.parametrize("setting", VALUES)
def test_the_highest_layer_wins_over_all_others_together(setting: str) -> None:
    highest = next(layer for layer in LAYERS if layer in VALUES[setting])
    assert resolve_with(setting, *VALUES[setting]) == VALUES[setting][highest][1]


def test_nothing_given_gives_the_documented_defaults() -> None:
    settings = resolve_job(Flags(), remembered=None, environ={}, file=FileSettings())
    assert settings == JobSettings(base_url="https://api.openai.com/v1")


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "SSL_CERT_FILE"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_is_one_that_is_not_set(name: str, empty: str) -> None:
    settings = resolve_job(Flags(), remembered=None, environ={name: empty}, file=FileSettings())
    assert settings == JobSettings(base_url="https://api.openai.com/v1")


def test_a_remembered_job_keeps_every_setting_where_no_flag_speaks() -> None:
    kept = JobSettings(
        base_url="https://kept.example/v1",
        api_key_env="KEPT_KEY",
        headers={"X-Team": "TEAM"},
        limits=Limits(rpm=1, tpm=2),
        model_limits={"m": Limits(rpm=3, tpm=4)},
        cache=CacheMode.DETERMINISTIC,
        max_attempts=9,
        timeout=8,
        max_wait=7,
        max_cost=5,
        allow_http=True,
        ca_file="/kept.pem",
    )
    environ = {"OPENAI_BASE_URL": "https://env.example/v1", "SSL_CERT_FILE": "/env.pem"}
    layer = Layer(api_key_env="F", headers={"A": "B"}, max_attempts=1, timeout=1, max_wait=1, max_cost=1)
    assert resolve_job(Flags(), remembered=kept, environ=environ, file=FileSettings(given=layer)) == kept


def test_a_remembered_job_takes_no_headers_from_a_file_made_for_another_provider() -> None:
    kept = JobSettings(base_url="https://kept.example/v1")
    file = FileSettings(given=Layer(headers={"api-key": "OTHER_KEY"}))
    assert resolve_job(Flags(), remembered=kept, environ={}, file=file).headers == {}


def test_a_broken_variable_does_not_matter_where_a_flag_speaks() -> None:
    environ = {"OPENAI_BASE_URL": "nonsense"}
    flags = Flags(base_url="https://flag.example/v1")
    settings = resolve_job(flags, remembered=None, environ=environ, file=FileSettings())
    assert settings.base_url == "https://flag.example/v1"


LimitsGiven = tuple[Limits, dict[str, Limits]]


def limits(*, plain: Limits | None = None, **models: Limits) -> LimitsGiven:
    return plain or Limits(), models


def layer_of(given: LimitsGiven) -> Layer:
    return Layer(**{name: figures_of(name, *given) for name in LIMIT_NAMES})


@pytest.mark.parametrize(
    ("flag", "remembered", "file", "plain", "own"),
    [
        pytest.param((), None, None, None, None, id="nothing given"),
        pytest.param(("500",), None, None, 500, None, id="a plain flag"),
        pytest.param(("m=500",), None, None, None, 500, id="a model's flag"),
        pytest.param(("m=500", "9"), None, None, 9, 500, id="both"),
        pytest.param((), None, limits(plain=Limits(rpm=7)), 7, None, id="the file's plain number"),
        pytest.param((), None, limits(m=Limits(rpm=7)), None, 7, id="the file's table"),
        pytest.param(
            ("500",), None, limits(plain=Limits(rpm=7)), 500, None, id="flag over the file's plain number"
        ),
        pytest.param(("500",), None, limits(m=Limits(rpm=7)), 500, 7, id="the file's table over a plain flag"),
        pytest.param(("m=500",), None, limits(m=Limits(rpm=7)), None, 500, id="a model's flag over the table"),
        pytest.param(
            (), limits(m=Limits(rpm=3)), limits(m=Limits(rpm=7)), None, 3, id="remembered over the table"
        ),
        pytest.param(("m=500",), limits(m=Limits(rpm=3)), None, None, 500, id="a model's flag over remembered"),
        pytest.param(("500",), limits(plain=Limits(rpm=3)), None, 500, None, id="a plain flag over remembered"),
        pytest.param(
            (), limits(plain=Limits(rpm=3)), limits(plain=Limits(rpm=7)), 3, None, id="remembered over file"
        ),
        pytest.param(
            (), limits(), limits(plain=Limits(rpm=7)), 7, None, id="the file where nothing is remembered"
        ),
    ],
)
def test_limits_lie_over_each_other_number_by_number(
    flag: Any, remembered: LimitsGiven | None, file: Any, plain: float | None, own: float | None
) -> None:
    kept = (
        JobSettings(base_url="https://kept.example/v1", limits=remembered[0], model_limits=remembered[1])
        if remembered
        else None
    )
    layer = layer_of(file) if file else Layer()
    settings = resolve_job(Flags(rpm=flag), remembered=kept, environ={}, file=FileSettings(given=layer))
    assert settings.limits == Limits(rpm=plain)
    assert settings.model_limits.get("m", Limits()) == Limits(rpm=own)


def test_a_models_rpm_by_flag_leaves_its_tpm_of_the_file() -> None:
    file = FileSettings(given=layer_of(limits(m=Limits(rpm=7, tpm=900))))
    settings = resolve_job(Flags(rpm=("m=500",)), remembered=None, environ={}, file=file)
    assert settings.model_limits == {"m": Limits(rpm=500, tpm=900)}


@pytest.mark.parametrize(
    ("flag", "variable", "file", "expected"),
    [
        ("flag.db", "env.db", "file.db", "flag.db"),
        (None, "env.db", "file.db", "env.db"),
        (None, None, "file.db", "file.db"),
        (None, "", "file.db", "file.db"),
        (None, None, None, "batcher.db"),
        ("sqlite:///rel.db", None, None, "rel.db"),
        ("sqlite:////abs/a.db", None, None, "/abs/a.db"),
        ("SQLITE:///rel.db", None, None, "rel.db"),
        ("sqlite+pysqlite:///rel.db", None, None, "rel.db"),
        ("~/a.db", None, None, "/home/ann/a.db"),
        ("sqlite:///~/a.db", None, None, "/home/ann/a.db"),
        (None, "~/a.db", None, "/home/ann/a.db"),
        (None, None, "~/a.db", "/home/ann/a.db"),
        ("a?b.db", None, None, "a?b.db"),
    ],
)
def test_the_store_is_where_the_highest_layer_says(
    flag: Any, variable: str | None, file: Any, expected: Any
) -> None:
    environ = {"HOME": "/home/ann"} | ({} if variable is None else {"BATCHER_DB": variable})
    assert resolve_process(Flags(db=flag), environ, FileSettings(given=Layer(db=file))).db == expected


def test_a_wrong_variable_of_the_store_does_not_matter_where_a_flag_names_another() -> None:
    environ = {"BATCHER_DB": "postgresql://db/x"}
    assert resolve_process(Flags(db="flag.db"), environ, FileSettings()).db == "flag.db"


@pytest.mark.parametrize(("flag", "file", "expected"), [(4, 8, 4), (None, 8, 8), (None, None, None)])
def test_concurrency_belongs_to_the_process(flag: Any, file: Any, expected: Any) -> None:
    settings = resolve_process(Flags(concurrency=flag), {}, FileSettings(given=Layer(concurrency=file)))
    assert settings == ProcessSettings(concurrency=expected)


def test_a_ca_file_is_remembered_by_its_absolute_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = resolve_job(Flags(ca_file="certs/ca.pem"), remembered=None, environ={}, file=FileSettings())
    assert settings.ca_file == str(tmp_path / "certs" / "ca.pem")


LOCAL, REMOTE = "http://127.0.0.1:8000/v1", "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("base_url", "flag", "in_file", "reuses"),
    [
        (REMOTE, None, None, True),
        (REMOTE, "all", None, True),
        (REMOTE, "deterministic", None, True),
        (REMOTE, "off", None, False),
        (REMOTE, None, CacheMode.OFF, False),
        (LOCAL, None, None, False),
        (LOCAL, None, CacheMode.ALL, False),
        (LOCAL, "all", None, True),
        (LOCAL, "deterministic", None, False),
        (LOCAL, "off", None, False),
        ("http://localhost:8000/v1", None, None, False),
        ("http://[::1]:8000/v1", None, None, False),
        (None, None, None, False),
        (None, "all", None, True),
    ],
)
def test_loopback_reuses_earlier_answers_only_where_all_is_asked_for(
    base_url: str | None, flag: Any, in_file: CacheMode | None, reuses: bool
) -> None:
    flags = Flags(base_url=base_url, simulate=base_url is None, cache=flag)
    settings = resolve_job(flags, remembered=None, environ={}, file=FileSettings(given=Layer(cache=in_file)))
    assert settings.reuse_earlier is reuses


@pytest.mark.parametrize(
    ("kept", "flags", "reuses"),
    [
        (JobSettings(base_url=LOCAL, reuse_earlier=True), Flags(), True),
        (JobSettings(base_url=LOCAL, reuse_earlier=False), Flags(), False),
        (JobSettings(base_url=LOCAL, reuse_earlier=False), Flags(cache="all"), True),
        (JobSettings(base_url=LOCAL, reuse_earlier=True), Flags(cache="deterministic"), False),
        (JobSettings(base_url=LOCAL, reuse_earlier=False), Flags(base_url=REMOTE), True),
        (JobSettings(base_url=REMOTE), Flags(base_url=LOCAL), False),
        (JobSettings(base_url=REMOTE, cache=CacheMode.OFF, reuse_earlier=False), Flags(), False),
    ],
)
def test_a_resumed_job_reuses_earlier_answers_as_it_was_told(
    kept: JobSettings, flags: Flags, reuses: bool
) -> None:
    assert resolve_job(flags, remembered=kept, environ={}, file=FileSettings()).reuse_earlier is reuses


def test_a_resumed_job_with_no_flags_is_itself_again() -> None:
    first = resolve_job(
        Flags(base_url=LOCAL, rpm=("5", "m=6"), cache="all", ca_file="/a.pem"),
        remembered=None,
        environ={},
        file=FileSettings(),
    )
    assert resolve_job(Flags(), remembered=first, environ={}, file=FileSettings()) == first
    assert resolve_job(Flags(timeout=9), remembered=first, environ={}, file=FileSettings()) == replace(
        first, timeout=9
    )
