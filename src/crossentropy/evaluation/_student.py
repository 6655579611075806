"""Tail probabilities of Student's distribution."""

import math

__all__ = ["student_p"]


def student_p(t: float, freedom: float) -> float:
    r"""Return the probability of a variable of Student's distribution at least as far from 0 as t.

    .. math:: P(|T| \ge |t|) = I_x(\nu / 2, 1 / 2), \qquad x = \frac{\nu}{\nu + t^2}

    Examples
    --------
    >>> round(student_p(2.0, 10), 6), student_p(0.0, 5), student_p(math.inf, 5)
    (0.073388, 1.0, 0.0)
    """
    if math.isinf(t):
        return 0.0
    a, b, ratio = freedom / 2, 0.5, t * t / freedom
    x, rest = 1 / (1 + ratio), ratio / (1 + ratio)
    if rest == 0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - a * math.log1p(ratio) + b * math.log(rest)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return max(0.0, 1 - front * _fraction(b, a, rest) / b)


def _fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function (Lentz's method; DLMF 8.17.22)."""
    tiny = 1e-300
    d = 1 / (1 - (a + b) * x / (a + 1))
    value, c = d, 1.0
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for step in (even, odd):
            d = 1 / (1 + step * d or tiny)
            c = 1 + step / c or tiny
            value *= c * d
        if abs(value - before) <= 1e-16 * abs(value):
            break
    return value
