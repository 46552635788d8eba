"""Settings of the simulated provider are validated when they are created."""

from typing import Any

import pytest

from batcher.domain.errors import ConfigError
from batcher.domain.settings import Limits
from batcher.simulate import SimulatedProvider
from batcher.simulate.settings import limits_of
from tests.support.messages import words


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"rpm": 0}, "rpm"),
        ({"tpm": -1}, "tpm"),
        ({"burst": 0}, "burst"),
        ({"model_limits": {"m": Limits(tpm=0)}}, "tpm for m"),
        ({"fail": 1.5}, "failures"),
        ({"fail": -0.1}, "failures"),
        ({"latency": -1}, "latency"),
        ({"latency_sigma": -1}, "latency_sigma"),
        ({"chars_per_token": 0}, "chars_per_token"),
    ],
)
def test_a_number_that_no_provider_has_is_refused_by_name(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as error:
        SimulatedProvider(**wrong)
    assert words(error.value.hint)


def test_a_models_own_limits_win_and_fall_back_one_by_one() -> None:
    settings = SimulatedProvider(rpm=60, tpm=1000, model_limits={"big": Limits(rpm=5)})
    assert limits_of(settings, "big") == Limits(rpm=5, tpm=1000)
    assert limits_of(settings, "other") == Limits(rpm=60, tpm=1000)
