"""`torch.nn`'s Kullback-Leibler divergence, which takes classes that are impossible for what they are."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KLDivLoss", "kl_div"]


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of log-probabilities, as `torch.nn.functional.kl_div` has it, with ``0 ln 0 = 0``.

    ``Σ t (ln t − input)``. A class that the target gives no probability counts 0 and has no gradient, whatever the
    input says of it. In torch it is NaN where the input gives it none either (masked logits), and NaN with
    ``log_target=True``.

    Parameters
    ----------
    input : Tensor, floating
        Log-probabilities.
    target : Tensor, shape of `input`
        Probabilities, or with `log_target` their logarithms.
    size_average, reduce, reduction, log_target
        As in torch: "mean" divides by the number of elements, "batchmean" by that of rows.

    Returns
    -------
    Tensor
        The divergence in nats, in torch's dtype.

    Raises
    ------
    ValueError, RuntimeError
        As `torch.nn.functional.kl_div` does: if `reduction` is no word of its, or the shapes do not broadcast.

    Examples
    --------
    >>> import torch
    >>> log_q, p = torch.tensor([[0.5, 0.5, 0.0]]).log(), torch.tensor([[0.25, 0.75, 0.0]])
    >>> round(kl_div(log_q, p, reduction="batchmean").item(), 4)
    0.1308
    """
    impossible = target == (-torch.inf if log_target else 0)
    rows = input.shape[0] if input.ndim else 1  # as they were passed: `where` broadcasts the input
    input = torch.where(impossible, 0.0, input)
    if log_target:  # a probability of 1 in both, whose term is 0
        target = torch.where(impossible, 0.0, target)
    if reduction == "batchmean":
        return functional.kl_div(input, target, size_average, reduce, "sum", log_target) / rows
    return functional.kl_div(input, target, size_average, reduce, reduction, log_target)


class KLDivLoss(nn.KLDivLoss):
    """`torch.nn.KLDivLoss` with ``0 ln 0 = 0``; see `crossentropy.torch.kl_div`.

    Examples
    --------
    >>> import torch
    >>> log_p = torch.tensor([[1.0, 0.0]]).log()
    >>> KLDivLoss(reduction="batchmean", log_target=True)(log_p, log_p)
    tensor(0.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The divergence of a batch."""
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
