"""The mean of a time series, whose neighbors are not independent."""

import math
from typing import Any

import numpy as np

from crossentropy.evaluation._paired import Mean

__all__ = ["mean_of_series"]

Array = np.ndarray[Any, Any]


def mean_of_series(values: Array, horizon: int) -> Mean:
    r"""Average differences of forecasts that look some steps ahead, in the order of time.

    .. math:: \mathrm{SE}^2 = \frac{\gamma_0 + 2 \sum_{k=1}^{h-1} \gamma_k}{T + 1 - 2h + h(h-1)/T}

    This is the test of Diebold and Mariano (1995) with the correction of Harvey, Leybourne and Newbold (1997,
    https://doi.org/10.1016/S0169-2070(96)00719-4), by Student's distribution with T − 1 degrees of freedom. There is no
    error if the autocovariances, which are estimates, do not add up to a positive variance, or if a value is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> mean = mean_of_series(np.asarray([1.0, 2.0, 4.0, 3.0]), horizon=2)
    >>> mean.value, round(mean.standard_error, 6), mean.freedom
    (2.5, 1.040833, 3)
    """
    n = len(values)
    if not np.isfinite(values).all():
        with np.errstate(invalid="ignore"):
            return Mean(float(np.mean(values)), None, max(1, n - 1))
    mean = math.fsum(values) / n
    away = values - mean
    gammas = [math.fsum(away[k:] * away[: n - k]) / n for k in range(min(horizon, n))]
    variance = gammas[0] + 2 * math.fsum(gammas[1:])
    scale = n + 1 - 2 * horizon + horizon * (horizon - 1) / n
    if n < 2 or not variance >= 0 or (variance == 0 and gammas[0] > 0) or scale <= 0:
        return Mean(mean, None, max(1, n - 1))
    return Mean(mean, math.sqrt(variance / scale), n - 1)
