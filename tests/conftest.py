"""Of the whole suite: the longest tests start first, and no property has a time limit of its own."""

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of the program. The suite's limit of two minutes for each test remains.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
