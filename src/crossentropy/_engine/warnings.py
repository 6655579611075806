"""A warning of probabilities passed where logits belong, which no error can catch."""

from crossentropy._arguments.warnings import warn_user
from crossentropy._backends import Array, constant, is_jax, is_numpy, is_torch, namespace
from crossentropy._backends.conditions import is_true
from crossentropy._backends.modes import is_jax_tracer, is_recorded
from crossentropy._statistics.cpu.kernel import are_probabilities
from crossentropy._statistics.cpu.memory import NumpyMemory, is_for_kernels


def warn_of_probabilities(logits: Array, axis: int) -> None:
    """Warn, once for each calling line, if every row lies in [0, 1] and sums to 1.

    A loss of probabilities taken for logits looks reasonable and cannot fall below ``ln(e + C − 1) − 1``. The first
    entries usually settle it.
    """
    if is_recorded(logits) or logits.shape[axis] < 2 or 0 in logits.shape:
        return
    if is_jax(logits) and (
        is_jax_tracer(logits) or len(logits.devices()) > 1
    ):  # of which no entry is at hand
        return
    if not _are_probabilities(constant(logits), axis % logits.ndim):
        return
    warn_user(
        "the logits are probabilities already: every row lies in [0, 1] and sums to 1. Pass the scores before the "
        "softmax, or score probabilities with crossentropy.log_loss"
    )


def _are_probabilities(logits: Array, axis: int) -> bool:
    if is_numpy(logits) and is_for_kernels(logits):
        return are_probabilities(NumpyMemory, logits, axis)
    if is_torch(logits):
        from crossentropy._statistics.cpu.memory_torch import TorchMemory
        from crossentropy._statistics.torch.kernels import cpu_kernels_serve

        if cpu_kernels_serve(logits):
            return are_probabilities(TorchMemory, logits, axis)
        if logits.device.type != "cpu":  # not to be waited for
            return False
    xp = namespace(logits)
    first = logits[(0,) * axis + (slice(None),) + (0,) * (logits.ndim - axis - 1)]
    for rows, along in ((first, 0), (logits, axis)):
        if not is_true(xp.all((rows >= 0) & (rows <= 1))):
            return False
        if not is_true(xp.all(xp.abs(xp.sum(rows, axis=along) - 1) < 1e-3)):
            return False
    return True
