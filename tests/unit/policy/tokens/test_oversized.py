import pytest

from batcher.domain.lanes import TokenLimit
from batcher.domain.states import LimitSource
from batcher.policy.tokens.oversized import is_never_admitted, never_fits_message

GIVEN = TokenLimit(tpm=60_000, source=LimitSource.GIVEN)
ANNOUNCED = TokenLimit(tpm=60_000, source=LimitSource.ANNOUNCED)


@pytest.mark.parametrize(
    ("charged", "output", "limit", "never"),
    [
        (True, 60_001, GIVEN, True),
        (True, 60_001, ANNOUNCED, True),
        # A whole minute of it: the provider's bucket may be that large.
        (True, 60_000, GIVEN, False),
        (True, 59_999, ANNOUNCED, False),
        # Its maximum is not charged, or nobody knows; what it will produce nobody knows either.
        (False, 10**9, GIVEN, False),
        (False, 10**9, ANNOUNCED, False),
        # No limit is certain.
        (True, 10**9, None, False),
    ],
)
def test_only_a_stated_maximum_that_is_charged_in_full_and_is_over_a_certain_limit_never_fits(
    charged, output, limit, never
):
    assert is_never_admitted(output, limit, charges_maximum=charged) is never


@pytest.mark.parametrize(("limit", "whose"), [(GIVEN, "(as given)"), (ANNOUNCED, "(as the provider announces)")])
def test_the_message_has_both_figures_and_says_whose_limit_it_is(limit, whose):
    message = never_fits_message(600_000, limit)
    assert "600,000 tokens" in message
    assert "60,000 tokens a minute" in message
    assert message.endswith(whose)
