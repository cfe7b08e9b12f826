"""Fixtures of the tests of bad days: the same shop as the flows' tests have."""

from tests.flows.conftest import shop as shop  # noqa: PLC0414  # pytest finds the fixture by this name
