"""What the tests of the registry share."""

from own_files import own  # noqa: F401 - a fixture
