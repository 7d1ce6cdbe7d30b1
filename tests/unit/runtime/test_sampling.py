import numpy as np
import pytest

from lmql_like.runtime.search.sampling import truncated_distribution


@pytest.mark.parametrize("temperature", [1e-320, 1e-308, 1e-30])
def test_a_tiny_temperature_leaves_the_likeliest(temperature):
    logprobs = np.array([-3.0, -1.0, -np.inf, -2.0])
    order, cumulative = truncated_distribution(logprobs, temperature, None, 1.0)
    assert order[np.diff(cumulative, prepend=0.0) > 0].tolist() == [1]
