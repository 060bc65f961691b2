from hypothesis import HealthCheck, settings

# A busy machine is no failure: no test depends on time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Files that run kernels and browsers for minutes start first, so that no process waits for one.
SLOW = ("test_notebooks", "test_widgets", "test_book", "test_families", "test_wheel")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in SLOW)
