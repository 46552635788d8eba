"""Sizes as people read them."""

import pytest

from batcher.cli.terminal.output import size


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (12_340, "12.3 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (5_000_000_000, "5.0 GB"),
        (7_000_000_000_000_000, "7000.0 TB"),
    ],
)
def test_a_size_has_a_unit_that_fits_it(count, shown):
    assert size(count) == shown
