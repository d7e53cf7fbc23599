"""What the tests of the fault table share."""

from tiny_runs import tiny  # noqa: F401 - a fixture
