"""The gradient and the second derivatives of sigmoid losses of NumPy logits, for Newton's method."""

from typing import Any

import numpy as np

from crossentropy._backends import Array
from crossentropy._engine.sigmoid.formula import element_weights, logits_and_masses, negative_log_odds
from crossentropy._engine.sigmoid.labels import check_binary_labels, valid_labels
from crossentropy._engine.sigmoid.problem import Problem, make_problem
from crossentropy._statistics.blocks import slices
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links import Link
from crossentropy.links.link import curvature as link_curvature
from crossentropy.links.link import slope as link_slope

__all__ = ["element_derivatives"]
