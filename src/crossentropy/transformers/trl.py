"""What TRL's trainers ask of a model: the statistics of tokens, from hidden states.

`SFTTrainer`, `DPOTrainer` and others call ``model(…, labels=labels, fused_lm_head=True)`` and combine the loss from the
log-probabilities of the labels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.utils import ModelOutput

from crossentropy._engine.linear.autograd import statistics
from crossentropy._statistics import Requested
from crossentropy.losses.target_statistics import TargetStatistics
from crossentropy.transformers.logits import LinearLogits, Recording


@dataclass
class TokenOutputs(ModelOutput):
    """Statistics of the labels, under the names of TRL; 0 where a label is −100.

    Attributes
    ----------
    loss : Tensor ()
        Of the model, in nats, with its auxiliary terms.
    log_probs, entropy, mean_logits : Tensor (N, T − 1); (N, T) with `shift_labels`
        Log-probability of each label and entropy of its distribution in nats, and the mean of its logits; only the
        first has a gradient.
    is_top1, label_mask : bool Tensor of the same shape
        Whether a label is the most likely token, and whether it is not −100.
    aux_loss : Tensor (), optional
        The loss of routers.
    """

    loss: Tensor | None = None
    log_probs: Tensor | None = None
    entropy: Tensor | None = None
    mean_logits: Tensor | None = None
    is_top1: Tensor | None = None
    label_mask: Tensor | None = None
    aux_loss: Tensor | None = None


def fused_outputs(
    recording: Recording, run: Callable[[], Any], labels: Tensor, *, is_shifted: bool
) -> TokenOutputs:
    """Answer a call of TRL: run the model, and take statistics where it would take a loss.

    Parameters
    ----------
    run : callable
        Runs the model, while its output layer records.
    is_shifted : bool
        Whether the model's labels stand beside their logits, as `shift_labels` do.
    """
    if changed := [name for name in recording.options if name != "empty"]:
        raise ValueError(
            f"apply was called with {', '.join(changed)}, and a trainer of TRL computes its loss itself, from "
            "log-probabilities; call apply without options, or pass compute_loss_func=loss_function(...) to SFTTrainer"
        )
    found: dict[str, Tensor] = {}

    def answer(
        logits: LinearLogits, labels: Tensor, *, ignore_index: int, reduction: str, **weights: Any
    ) -> Tensor:
        # Smoothing has the kernel add up the logits, G = L − mean(u), on the same pass.
        problem = logits.problem(labels, ignore_index=ignore_index, label_smoothing=0.5)
        stats = statistics(problem, Requested(log_partition=True, entropy=True, argmax=True))
        tokens = TargetStatistics(stats, None, problem.problem.loss_dtype)
        mask = labels != ignore_index
        found.update(
            log_probs=tokens.log_prob,
            entropy=tokens.entropy.detach(),
            mean_logits=(stats.log_partition - stats.prior_term).detach().to(tokens.log_prob.dtype) * mask,
            is_top1=(tokens.argmax == labels) & mask,
            label_mask=mask,
        )
        return -tokens.log_prob.sum() / (1 if reduction == "sum" else mask.sum())

    recording.answer = answer
    try:
        outputs = run()
    finally:
        recording.answer = None
    N, T = labels.shape

    def in_rows(x: Tensor) -> Tensor:
        rows = x.reshape(N, -1)
        return rows if is_shifted or rows.shape[1] < T else rows[:, :-1]  # the last position has no label

    tokens = {name: in_rows(x) for name, x in found.items()}
    return TokenOutputs(loss=outputs.loss, aux_loss=getattr(outputs, "aux_loss", None), **tokens)
