"""Losses for noisy labels that remember what the model said before."""

from typing import Any

from crossentropy._arguments.arrays import as_option
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, as_indices, constant, device, loss_dtype, namespace
from crossentropy._backends.conditions import first_true, is_false, is_true
from crossentropy._backends.modes import is_tracer
from crossentropy._engine.checks import as_share
from crossentropy._engine.options import RowOptions, SoftmaxOptions
from crossentropy._engine.rows.formula import (
    fuzzy_set_loss,
    one_label,
    prepare_rows,
    probabilities,
    row_problem,
    row_weights,
    soft_label_table_loss,
    weight_and_reduce,
)
from crossentropy._engine.rows.state import (
    beside,
    check_values,
    copied,
    last_of_equals,
    taken_state,
    written,
)
from crossentropy._engine.softmax.problem import make_problem
from crossentropy._statistics.products import product
from crossentropy._versions import Unpack
from crossentropy.losses.softmax import softmax_cross_entropy

__all__ = ["EarlyLearningRegularization", "OnlineLabelSmoothing"]

LEAST = 1e-4  # what ELR's code clamps predictions to


class OnlineLabelSmoothing:
    r"""Online label smoothing: labels smoothed by what the model says of their class when it is right.

    .. math:: \ell = -(1 - \varepsilon) \log p_y - \varepsilon \sum_c S_{yc} \log p_c

    Parameters
    ----------
    classes : int
        C.
    label_smoothing : float, default 0.5
        Share ``ε`` of the soft labels ``S``; the paper's is half.

    Raises
    ------
    ValueError
        If `label_smoothing` is not from 0 to 1, or there are no classes.

    Notes
    -----
    ``S`` is uniform at first. `update` adds the prediction of every row whose label is its argmax to its class's row
    of sums, and `next_epoch` makes the sums, each row divided by its sum, the soft labels of the next epoch. A class
    that was never right keeps its soft label. (In the authors' code its label is uniform again; in another that is
    widely copied it is all zeros, which takes its part of the loss away.) The loss is the paper's weighted mean of its
    two terms; the authors' code adds them, so that its loss is twice this one.

    The state is C × C numbers in the library and on the device of the logits, and moves to those of others.
    JAX keeps it outside of compiled functions: `loss` may be compiled (with ``S`` as it is then), `update` may not.

    References
    ----------
    Zhang, Jiang, Hou, Wei, Han, Li, Cheng, "Delving Deep into Label Smoothing", IEEE Transactions on Image Processing
    2021.

    Examples
    --------
    >>> import numpy as np
    >>> smoothing = OnlineLabelSmoothing(3)
    >>> logits, labels = np.log([[0.7, 0.2, 0.1], [0.6, 0.1, 0.3]]), np.asarray([0, 2])
    >>> float(smoothing.loss(logits, labels).round(6))
    1.080669
    >>> smoothing.update(logits, labels)
    >>> smoothing.next_epoch()
    >>> smoothing.state_dict()["soft_labels"].round(4)
    array([[0.7   , 0.2   , 0.1   ],
           [0.3333, 0.3333, 0.3333],
           [0.3333, 0.3333, 0.3333]])
    """

    @argument_errors
    def __init__(self, classes: int, *, label_smoothing: float = 0.5) -> None:
        if classes < 1:
            raise ValueError(f"classes is {classes}; there is at least one")
        label_smoothing = as_share(label_smoothing, "label_smoothing")
        import numpy

        self.classes, self.label_smoothing = classes, label_smoothing
        self._soft_labels: Array = numpy.full((classes, classes), 1 / classes)
        self._sums: Array = numpy.zeros((classes, classes))

    @argument_errors
    def loss(self, logits: Array, labels: Any, **options: Unpack[SoftmaxOptions]) -> Array:
        """Cross-entropy of the smoothed labels; the state stays as it is.

        Parameters
        ----------
        logits : array (..., C, ...), floating
        labels : integer array, shape of the rows
            Class indices; or `targets.OneHot`.
        **options
            Those of `crossentropy.softmax_cross_entropy`. Class weights are those of every class that has mass, and
            so is the denominator of a weighted mean.

        Returns
        -------
        array () or the rows' shape

        Raises
        ------
        ValueError
            If the number of classes is another, or as `crossentropy.softmax_cross_entropy` does.
        TypeError
            If a row has not just one label.
        """
        problem = make_problem(logits, labels, **options)
        _check_classes(problem.classes, self.classes)
        S = beside(self._soft_labels, problem.logits)
        if not is_tracer(S):
            self._soft_labels = S
        xp = namespace(S)
        place = xp.arange(self.classes, device=device(S))
        plain = xp.astype(place[:, None] == place, S.dtype)
        table = (1 - self.label_smoothing) * plain + self.label_smoothing * S
        return soft_label_table_loss(problem, table, options, "OnlineLabelSmoothing")

    @argument_errors
    def update(self, logits: Array, labels: Any, *, axis: int = -1, ignore_index: int | None = None) -> None:
        """Remember the predictions of rows whose first largest logit is the label's.

        Parameters
        ----------
        logits : array (..., C, ...), floating
            Nothing is differentiated through them.
        labels : integer array, shape of the rows
        axis : int, default -1
            The axis of the classes.
        ignore_index : int, optional
            A label whose rows are left out.

        Raises
        ------
        ValueError
            If the number of classes is another, or a label is outside them.
        TypeError
            If a row has not just one label, or the logits are traced.
        """
        problem = make_problem(constant(logits), labels, axis=axis, ignore_index=ignore_index)
        one_label(problem, "OnlineLabelSmoothing")
        _check_classes(problem.classes, self.classes)
        rows = prepare_rows(problem)
        check_values(rows.u, "OnlineLabelSmoothing.update")
        u, C = rows.u, self.classes
        xp = namespace(u)
        place = xp.arange(C, device=device(u))
        right = rows.on & (place == xp.argmax(u, axis=-1, keepdims=True)) & (u == u)
        if rows.left_out is not None:
            right = right & ~rows.left_out[..., None]
        p = xp.where(xp.any(right, axis=-1, keepdims=True), probabilities(u), xp.zeros_like(u))
        right = xp.reshape(xp.astype(right, p.dtype), (-1, C))
        sums = beside(self._sums, problem.logits)
        self._sums = sums + product(xp.permute_dims(right, (1, 0)), xp.reshape(p, (-1, C)))

    def next_epoch(self) -> None:
        """Make what was remembered the soft labels, and forget it."""
        sums, S = self._sums, beside(self._soft_labels, self._sums)
        xp = namespace(sums)
        count = xp.sum(sums, axis=1, keepdims=True)
        never = count == 0
        self._soft_labels = xp.where(never, S, sums / xp.where(never, xp.ones_like(count), count))
        self._sums = xp.zeros_like(sums)

    def state_dict(self) -> dict[str, Array]:
        """A copy of the state: `soft_labels` and `sums`, shape (C, C) both."""
        return {"soft_labels": copied(self._soft_labels), "sums": copied(self._sums)}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Take over a state, of arrays of any library.

        Raises
        ------
        ValueError
            If names or shapes differ from those of `state_dict`.
        """
        shape = (self.classes, self.classes)
        self._soft_labels, self._sums = taken_state(state, {"soft_labels": shape, "sums": shape})


class EarlyLearningRegularization:
    r"""Early-learning regularization: cross-entropy that holds on to what the model said of each row before.

    .. math:: \ell = -\log p_y + \lambda \log\Bigl(1 - \sum_c t_c p_c\Bigr), \qquad t \leftarrow \beta t + (1 - \beta)\,
              \hat p

    Parameters
    ----------
    rows : int
        N, how many rows the data have.
    classes : int
        C.
    strength : float, default 3.0
        ``λ``; the paper has 3 for CIFAR-10 and 7 for CIFAR-100.
    momentum : float, default 0.7
        ``β``, from 0 to below 1; the paper has 0.7 for CIFAR-10 and 0.9 for CIFAR-100, the code 0.3 by default.

    Raises
    ------
    ValueError
        If a setting is out of range.

    Notes
    -----
    ``t`` is 0 at first, and each call of `loss` moves that of its rows before it is used, as the paper's code does.
    ``p̂`` is the prediction, held constant, clamped to 10⁻⁴ and 1 − 10⁻⁴ and divided by its sum, as in the code; in
    the inner product the paper's plain ``p`` stands, which the code clamps as well. ``1 − ⟨t, p⟩`` is formed as
    ``⟨1 − t, p⟩``, which keeps its digits.

    The state is N × C numbers in the library and on the device of the logits, and moves to those of others; it is
    written in place. Functions that a library compiles or transforms (`jax.jit`, `jax.vmap`, `torch.func`) cannot
    write it, and are refused; ``update=False`` reads it there.

    References
    ----------
    Liu, Niles-Weed, Razavian, Fernandez-Granda, "Early-Learning Regularization Prevents Memorization of Noisy Labels",
    NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> regularized = EarlyLearningRegularization(rows=50000, classes=3)
    >>> logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    >>> float(regularized.loss(logits, np.asarray([0, 2]), index=np.asarray([17, 4])).round(6))
    0.292468
    """

    @argument_errors
    def __init__(self, rows: int, classes: int, *, strength: float = 3.0, momentum: float = 0.7) -> None:
        if rows < 1 or classes < 1:
            raise ValueError(f"rows is {rows} and classes is {classes}; there is at least one of each")
        if is_false((momentum >= 0) & (momentum < 1)):
            raise ValueError(f"momentum is {momentum}; it is a share of the past, from 0 to below 1")
        if is_false((strength >= 0) & (strength < float("inf"))):
            raise ValueError(f"strength is {strength}; it multiplies the regularizer, so it is 0 or more")
        self.rows, self.classes, self.strength, self.momentum = rows, classes, strength, momentum
        self._targets: Array = None

    @argument_errors
    def loss(
        self, logits: Array, labels: Any, index: Any, *, update: bool = True, **options: Unpack[RowOptions]
    ) -> Array:
        """Cross-entropy and its regularizer, after the targets of these rows have moved.

        Parameters
        ----------
        logits : array (..., C, ...), floating
        labels : integer array, shape of the rows
            Class indices; or `targets.OneHot`.
        index : integer array or list, shape of the rows
            Which of the N rows of the data each one is. Of one that is there twice the last counts.
        update : bool, default True
            Whether the targets move. Rows that are ignored, of weight 0 or without probabilities (NaN) leave theirs.
        axis, class_weight, sample_weight, ignore_index, reduction, normalizer, empty, validate
            As in `crossentropy.softmax_cross_entropy`. A class weight multiplies both terms.

        Returns
        -------
        array () or the rows' shape
            The loss in nats: float64 for float64 logits, else float32. Gradients flow to `logits` and `sample_weight`.

        Raises
        ------
        ValueError
            If shapes do not fit or an index is outside the N rows, or as `crossentropy.softmax_cross_entropy` does.
        TypeError
            If a row has not just one label, `index` is not of integers, or the state is to be written under a trace.
        """
        problem = row_problem(logits, labels, options)
        one_label(problem, "EarlyLearningRegularization")
        _check_classes(problem.classes, self.classes)
        place = self._places(index, problem.logits, problem.rows)
        u = prepare_rows(problem).u
        xp, C = namespace(u), self.classes
        if update:
            check_values(u, "EarlyLearningRegularization.loss(update=True)")
        weights = row_weights(problem)
        live = xp.ones_like(u[..., 0], dtype=xp.bool) if weights is None else weights != 0

        state = self._state(problem.logits)
        t = xp.astype(xp.reshape(xp.take(state, place, axis=0), u.shape), u.dtype)
        if update:
            p = xp.clip(probabilities(constant(u)), LEAST, 1 - LEAST)
            moved = self.momentum * t + (1 - self.momentum) * p / xp.sum(p, axis=-1, keepdims=True)
            sound = live & xp.all(u == u, axis=-1)
            t = xp.where(sound[..., None], moved, t)
            rows = xp.reshape(xp.astype(t, state.dtype), (-1, C))
            self._targets = written(state, place, xp.take(rows, last_of_equals(place), axis=0))
        counts = xp.astype(live, u.dtype)
        agreement = fuzzy_set_loss(u, 1 - t, sample_weight=counts, reduction="none")
        hard = softmax_cross_entropy(
            problem.logits,
            labels,
            axis=problem.axis,
            sample_weight=counts,
            ignore_index=problem.target.ignore_index,
            reduction="none",
            validate="raise" if problem.validate else "none",
        )
        return weight_and_reduce(problem, hard - self.strength * agreement)

    def state_dict(self) -> dict[str, Array]:
        """A copy of the state: `targets`, shape (N, C)."""
        import numpy

        if self._targets is None:
            return {"targets": numpy.zeros((self.rows, self.classes), dtype=numpy.float32)}
        return {"targets": copied(self._targets)}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Take over a state, of an array of any library.

        Raises
        ------
        ValueError
            If its name or shape differs from that of `state_dict`.
        """
        (self._targets,) = taken_state(state, {"targets": (self.rows, self.classes)})

    def _state(self, logits: Array) -> Array:
        """The targets, beside the logits; made when they are first needed."""
        shape, state = (self.rows, self.classes), self._targets
        if state is None:
            state = namespace(logits).zeros(shape, dtype=loss_dtype(logits), device=device(logits))
        state = beside(state, logits)
        if not is_tracer(state):
            self._targets = state
        return state

    def _places(self, index: Any, logits: Array, rows: tuple[int, ...]) -> Array:
        """`index` flat, checked."""
        xp = namespace(logits)
        i = as_option(index, "index", logits)
        if not xp.isdtype(i.dtype, "integral"):
            raise TypeError(f"index has dtype {i.dtype}; pass the places of the rows in the data as integers")
        if tuple(i.shape) != rows:
            raise ValueError(f"index has shape {tuple(i.shape)}; pass one place for each row, shape {rows}")
        i = xp.reshape(as_indices(i), (-1,))
        outside = (i < 0) | (i >= self.rows)
        if is_true(xp.any(outside)):
            (row,) = first_true(outside)
            raise ValueError(
                f"index {int(i[row])} at row {row} is outside [0, {self.rows}); index counts the rows of the data, and "
                f"this object was made for {self.rows}"
            )
        return i


def _check_classes(got: int, classes: int) -> None:
    if got != classes:
        raise ValueError(f"the logits have {got} classes, but this object was made for {classes}")
