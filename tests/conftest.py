"""Fixtures that every test file uses, and the settings of hypothesis.

Helpers that are called, rather than asked for by name, belong in `tests.support`.
"""

import hypothesis
import numpy as np
import pytest

from tests.support import FLOATS, Float, rng_of

# A deadline would make the outcome depend on what else the machine is doing.
hypothesis.settings.register_profile("logitkit", deadline=None)
hypothesis.settings.load_profile("logitkit")


@pytest.fixture(params=FLOATS, ids=["f32", "f64"])
def dtype(request: pytest.FixtureRequest) -> Float:
    """Run the test once for each element type."""
    kind: Float = request.param
    return kind


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Give random numbers that depend on nothing but the name of the test."""
    return rng_of(request.node.name)
