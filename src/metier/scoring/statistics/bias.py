"""By how much averages over small classes lie below the truth.

F1 of a class is a ratio of two counts, and a ratio of counts is biased where they are small. One
class's bias drowns in its spread; the mean over many classes has little spread left and all of the
bias. Resampling does not show it: a class with a single item is always all right or all wrong.
For independent items the bias of one class's F1 = R, with D expected and predicted together, is

    -R (1 - R) / D

the second-order Taylor term of a ratio (Cochran 1977, Sampling Techniques, eq. (6.34)); the same
expansion whose first-order term is the closed-form variance of Takahashi, Yamamoto, Kuchiba,
Koyama (2022), Applied Intelligence 52.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metier.scoring.statistics.bootstrap import FloatArray


def ratio_bias(above: Any, below: Any) -> FloatArray:
    """Return the bias of sum(above) / sum(below) per column, from sparse sums [clusters, k].

    0 where the lower sum is.
    """
    top, bottom = (np.asarray(side.sum(axis=0), dtype=np.float64) for side in (above, below))
    safe = np.where(bottom > 0, bottom, 1.0)
    product = np.asarray((above * below).sum(axis=0), dtype=np.float64)
    square = np.asarray((below * below).sum(axis=0), dtype=np.float64)
    found: FloatArray = -(product - top / safe * square) / safe**2
    return found


def f1_macro_bias(matrix: Any, width: int) -> float:
    """Return the bias of macro F1 from sparse sums [clusters, 3 * width] of right, expected and
    predicted decisions per label; labels that are not expected do not count."""
    table = matrix.tocsc()
    right, expected, predicted = (table[:, k * width : (k + 1) * width] for k in range(3))
    present = np.asarray(expected.sum(axis=0)) > 0
    if not present.any():
        return 0.0
    return float(ratio_bias(2 * right, expected + predicted)[present].mean())
