# The compiled kernels; addresses are integers, 0 stands for "absent". See native/rows/problem.hpp for the fields.

from collections.abc import Iterator, Sequence
from typing import Any

class View:
    def __init__(
        self, address: int, dtype: int, outer_stride: int, class_stride: int, inner_stride: int
    ) -> None: ...

class Shape:
    def __init__(self, outer: int, classes: int, inner: int) -> None: ...

class Transform:
    def __init__(
        self,
        scale: float = 1.0,
        temperatures: int = 0,
        softcap: float = 0.0,
        bias: int = 0,
        margin: float = 0.0,
        class_margin: int = 0,
    ) -> None: ...

class Target:
    def __init__(
        self,
        indices: int = 0,
        k: int = 1,
        has_ignore: bool = False,
        ignore_index: int = 0,
        foreign: bool = False,
        mask: View | None = None,
        dense: View | None = None,
        class_weight: int = 0,
    ) -> None: ...

class Prior:
    def __init__(self, present: bool = False, values: int = 0, total: float = 1.0) -> None: ...

class Statistics:
    def __init__(
        self,
        log_odds: int = 0,
        top: int = 0,
        rest: int = 0,
        set_top: int = 0,
        set_rest: int = 0,
        log_partition: int = 0,
        L_above_top: int = 0,
        prior_term: int = 0,
        dense_term: int = 0,
        dense_total: int = 0,
        entropy: int = 0,
        argmax: int = 0,
        rank: int = 0,
    ) -> None: ...

class Cotangents:
    def __init__(
        self,
        log_odds: int = 0,
        log_partition: int = 0,
        prior_term: int = 0,
        dense_term: int = 0,
        entropy: int = 0,
    ) -> None: ...

class Gradients:
    def __init__(
        self,
        logits: View,
        dense: View | None = None,
        scale: int = 0,
        target: int = 0,
        before_transform: bool = False,
    ) -> None: ...

def row_statistics(
    logits: View,
    shape: Shape,
    transform: Transform,
    target: Target,
    prior: Prior,
    out: Statistics,
    threads: int,
) -> int: ...
def row_pullback(
    logits: View,
    shape: Shape,
    transform: Transform,
    target: Target,
    prior: Prior,
    saved: Statistics,
    upstream: Cotangents,
    out: Gradients,
    threads: int,
) -> None: ...
def row_curvature(
    logits: View,
    shape: Shape,
    transform: Transform,
    target: Target,
    prior: Prior,
    upstream: Cotangents,
    direction: View,
    out: View,
    tangents: Cotangents,
    threads: int,
) -> None: ...
def focal_rows(log_odds: int, n: int, gamma: float, loss: int, slope: int, threads: int) -> None: ...
def divide_by_norms(x: int, dtype: int, n: int, width: int, y: int, norms: int, threads: int) -> None: ...
def pull_from_norms(
    x: int, dtype: int, n: int, width: int, norms: int, upstream: int, gradient: int, threads: int
) -> None: ...
def rows_with_any(mask: View, shape: Shape, has_any: int, threads: int) -> None: ...
def sum_of_rows(x: int, n: int) -> float: ...
def has_wide_vectors() -> bool: ...
def instruction_set() -> str: ...
def product(
    a: int,
    a_row: int,
    a_column: int,
    b: int,
    b_row: int,
    b_column: int,
    c: int,
    c_row: int,
    m: int,
    n: int,
    k: int,
    add: bool,
    threads: int,
) -> None: ...
def distribution_sums(
    quantity: int,
    p: int,
    q: int,
    dtype: int,
    rows: int,
    classes: int,
    factors: int,
    period: int,
    values: int,
    threads: int,
) -> tuple[bool, bool, float, float]: ...
def divergence_rows(
    kind: int,
    logits: list[View],
    shape: Shape,
    scale: float,
    alive: int,
    values: int,
    gradients: list[View],
    threads: int,
) -> None: ...
def divergence_rows_along(
    kind: int,
    logits: list[View],
    shape: Shape,
    scale: float,
    alive: int,
    upstream: int,
    directions: list[View],
    outs: list[View],
    threads: int,
) -> None: ...
def address(array: Any) -> int: ...
def acquire_memory(bytes: int) -> Any: ...
def release_kept_memory() -> None: ...

class Widened:
    def __init__(self, address: int, n: int) -> None: ...
    @property
    def address(self) -> int: ...

def all_positive(address: int, dtype: int, n: int) -> bool: ...

class RowHessian:
    def __iter__(self) -> Iterator[list[float]]: ...

class LabelLosses:
    def __init__(
        self, classes: int, temperature: float, gamma: float, positive: bool, offsets: int, masses: int
    ) -> None: ...
    def derivatives(self, scores: Any, label: float, scale: float) -> tuple[list[float], RowHessian]: ...

def are_probabilities(x: View, shape: Shape) -> bool: ...
def probability_rows(
    probabilities: View, shape: Shape, labels: int, sums: int, picked: int, threads: int
) -> None: ...

class RowLoss:
    def __init__(
        self,
        logits: int,
        dtype: int,
        outer: int,
        classes: int,
        inner: int,
        outer_stride: int,
        class_stride: int,
        inner_stride: int,
        transform: Transform,
        labels: int,
        k: int,
        has_ignore: bool,
        ignore_index: int,
        mask: int,
        link: int,
        link_numbers: Sequence[float],
        link_a: int,
        link_b: int,
        smoothing: float,
        smoothing_prior: int,
        z_loss: float,
        entropy_bonus: float,
        class_weight: int,
        single_weight: bool,
        masses: int,
        sample_weight: int,
        divisors: int,
    ) -> None: ...
    def has_probabilities(self) -> bool: ...
    def evaluate(self, losses: int, threads: int) -> tuple[float, float, float, int, int, int, float]: ...
    def pullback(
        self,
        logits: int,
        factor: float,
        upstream: int,
        gradient: int,
        dtype: int,
        outer_stride: int,
        class_stride: int,
        inner_stride: int,
        threads: int,
    ) -> None: ...

class ClassLoss:
    def __init__(
        self,
        formula: int,
        parameter: float,
        factor: float,
        steps: int,
        logits: int,
        dtype: int,
        outer: int,
        classes: int,
        inner: int,
        outer_stride: int,
        class_stride: int,
        inner_stride: int,
        scale: float,
        labels: int,
        has_ignore: bool,
        ignore_index: int,
        masses: View | None,
        smoothing: float,
        smoothing_prior: int,
        class_weight: int,
        single_weight: bool,
        sample_weight: int,
        divisors: int,
    ) -> None: ...
    def has_probabilities(self) -> bool: ...
    def evaluate(self, losses: int, threads: int) -> tuple[float, float, float, int, int, int, float]: ...
    def pullback(
        self,
        logits: int,
        factor: float,
        upstream: int,
        gradient: int,
        dtype: int,
        outer_stride: int,
        class_stride: int,
        inner_stride: int,
        threads: int,
    ) -> None: ...
    def pullback_along(
        self, logits: int, factor: float, upstream: int, direction: View, out: View, threads: int
    ) -> None: ...

class SigmoidProblem:
    def __init__(
        self,
        logits: int,
        logits_type: int,
        labels: int,
        labels_type: int,
        size: int,
        classes: int,
        inner: int,
        sample_weight: int,
        weight_per_row: bool,
        positive_weight: int,
        negative_weight: int,
        smoothing: float,
        positive_gamma: float,
        negative_gamma: float,
        negative_shift: float,
    ) -> None: ...

def sigmoid_loss(problem: SigmoidProblem, losses: int, threads: int) -> tuple[float, float, float, int]: ...
def sigmoid_gradient(
    problem: SigmoidProblem, scale: float, upstream: int, gradient: int, threads: int
) -> None: ...
def sigmoid_derivatives(
    problem: SigmoidProblem, positive: bool, first: int, second: int, threads: int
) -> int: ...
def xla_handlers() -> dict[str, Any]: ...

LIMBS: int

def exact_sums(terms: list[tuple[int, int]], n: int, limbs: int, special: int) -> None: ...
def exact_group_sums(x: int, y: int, group: int, groups: int, n: int, limbs: int, touched: int) -> None: ...
def poisson_sums(
    x: int, y: int, keys: int, n: int, seed: int, replicates: int, limbs_x: int, limbs_y: int
) -> None: ...
def binary_scores(
    prediction: int,
    dtype: int,
    kind: int,
    labels: int,
    soft: bool,
    n: int,
    out: list[int],
    fixed: int,
) -> None: ...
def binary_totals(
    prediction: int,
    dtype: int,
    kind: int,
    labels: int,
    narrow: bool,
    n: int,
    out: list[int],
    fixed: int,
    moments: int,
    special: int,
    octaves: tuple[int, int, int, int],
    bins: tuple[int, int],
    grid: int,
    grid_bits: int,
    limit: float,
    places: int,
    high: int,
) -> int: ...

class Matrix:
    def __init__(
        self, address: int, dtype: int, n: int, classes: int, row_stride: int, class_stride: int
    ) -> None: ...

def matrix_scores(
    x: Matrix,
    kind: int,
    labels: int,
    soft: bool,
    out: list[int],
    rank: int,
    probabilities: int,
    powers: int,
    fixed: int,
) -> None: ...
def row_totals(x: Matrix, logarithms: bool, totals: int) -> None: ...
def grid_places(p: int, complement: int, n: int, bits: int, places: int) -> None: ...
def grid_counts(
    p: int,
    complement: int,
    labels: int,
    n: int,
    first: int,
    classes: int,
    bits: int,
    counts: int,
) -> None: ...
def bin_counts(p: int, labels: int, n: int, bins: int, counts: int) -> None: ...
def pool_adjacent_violators(weight: int, positive: int, predictions: int, n: int) -> int: ...
def increasing_fits(weight: int, positive: int, rows: int, n: int) -> None: ...
def octave_counts(x: int, n: int, bits: int, low: int, places: int, counts: int) -> None: ...
def are_texts(objects: int, n: int) -> bool: ...
def hash_texts(objects: int, n: int, prefix: bytes, hashes: int) -> bool: ...
def linear_softmax(
    x: Matrix,
    labels: int,
    soft: bool,
    weight: int,
    coefficients: int,
    diagonal: bool,
    loss: int,
    slope: int,
    curvature: int,
    gradient: int,
    threads: int,
) -> None: ...
def linear_softmax_hessian(
    x: Matrix,
    labels: int,
    soft: bool,
    weight: int,
    coefficients: int,
    diagonal: bool,
    hessian: int,
    threads: int,
) -> None: ...
def cholesky_factor(a: int, n: int) -> bool: ...
def cholesky_solve(factor: int, n: int, b: int) -> None: ...
def odds_against_rest(log_p: Matrix, farthest: float, odds: int, threads: int) -> None: ...
def interpolate(
    curves: list[tuple[int, int, int]], x: int, n: int, log_sigmoid: bool, y: int, threads: int
) -> None: ...
def sort_keys(keys: int, n: int) -> None: ...
def murphy(
    keys: int, weight: int, n: int, thresholds: int, count: int, rounding: float, sums: int
) -> tuple[bool, bool]: ...

class KeyTable:
    def __init__(self, limit: int) -> None: ...
    def find(self, keys: int, n: int, places: int) -> bool: ...
    def keys(self) -> list[int]: ...
