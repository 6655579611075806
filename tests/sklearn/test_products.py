"""Products in which a row does not depend on the rows beside it."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from crossentropy.sklearn._products import exact_product


@pytest.mark.parametrize("n", [1, 2, 3, 33, 300])
def test_any_rows_in_any_order_have_the_same_entries_to_the_bit(n):
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(500, n, generator=generator).double() * torch.logspace(-9, 9, 500).double()[:, None]
    weight = torch.randn(7, n, generator=generator).double()
    whole = exact_product(x, weight)
    for rows in (1, 2, 3, 5, 64, 499):
        part = torch.randperm(500, generator=generator)[:rows]
        assert torch.equal(exact_product(x[part], weight), whole[part])


@pytest.mark.parametrize("n", [1, 5, 64])
def test_the_error_is_below_the_bound(n):
    rng = np.random.default_rng(n)
    x, weight = rng.standard_normal((4, n)), rng.standard_normal((3, n))
    product = exact_product(torch.from_numpy(x), torch.from_numpy(weight)).numpy()
    for i in range(4):
        for j in range(3):
            exact = sum(Fraction(a) * Fraction(b) for a, b in zip(x[i], weight[j], strict=True))
            bound = n * 2.0**-40 * np.abs(x[i]).max() * np.abs(weight[j]).max()
            assert abs(product[i, j] - exact) <= bound


def test_rows_of_zeros_have_zeros():
    assert not exact_product(torch.zeros(2, 3).double(), torch.ones(4, 3).double()).any()
