"""Labels that belong to another part of the row: a flag of the kernels, on the CPU and in Triton."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from crossentropy._statistics import NONE_REQUESTED, Requested, Target  # noqa: E402
from crossentropy._statistics.problem import arrays  # noqa: E402
from crossentropy._statistics.torch.kernels import row_kernel  # noqa: E402
from row_problems import TRANSFORMS, make, torch_problem  # noqa: E402
from sampling import sampled  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the interpreter

#: (rows, classes, statistics requested): rows in lanes, long rows, and long rows where they lie in memory
SIZES = [
    (67, 5, Requested(True, True, True)),
    (3, 131, Requested(True, True, True)),
    (3, 131, NONE_REQUESTED),
]


@pytest.fixture(params=["native", "triton"])
def kernel_of(request):
    if request.param == "native":
        return row_kernel("cpu"), torch.device("cpu")
    pytest.importorskip("triton")
    from crossentropy._statistics.cuda.kernel import RowKernel

    return RowKernel, request.getfixturevalue("device")


def statistics(kernel_of, problem, target):
    kernel, device = kernel_of
    problem, _ = torch_problem(replace(problem, target=target), "float32", device)
    target, rows = problem.target, (len(problem.logits),)
    kernel = kernel(problem.logits, 1, target, problem.transform, problem.prior)
    return arrays(kernel.statistics(target, rows, problem.requested))


@sampled({"rows, classes, requested": SIZES, "prior": ["none", "vector"], "transform": TRANSFORMS})
def test_a_foreign_label_counts_like_none(kernel_of, transform, prior, rows, classes, requested):
    problem = replace(make("label", transform, prior, rows, classes), requested=requested)
    for labels in (problem.target.indices * 0 - 1, problem.target.indices + classes):
        found = statistics(kernel_of, problem, Target(labels, foreign=True))
        expected = statistics(kernel_of, problem, Target())
        for name in expected.keys() & found.keys():
            torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6, msg=name)


@sampled({"rows, classes, requested": SIZES, "prior": ["none", "vector"], "transform": TRANSFORMS})
def test_a_foreign_label_beside_another_counts_like_its_repetition(
    kernel_of, transform, prior, rows, classes, requested
):
    problem = replace(make("several", transform, prior, rows, classes), requested=requested)
    labels = problem.target.indices
    repeated, foreign = labels.copy(), labels.copy()
    repeated[:, 2], foreign[:, 2] = labels[:, 0], classes + 3
    found = statistics(kernel_of, problem, Target(foreign, several=True, foreign=True))
    expected = statistics(kernel_of, problem, Target(repeated, several=True))
    for name in expected.keys() - {"log_odds"}:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6, msg=name)
    found, expected = (x["log_odds"][:, [0, 1, 3]] for x in (found, expected))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_an_ignored_row_is_ignored_whatever_is_foreign(kernel_of):
    problem = make("label", "plain", "vector", 9, 5)
    labels = problem.target.indices.copy()
    labels[3], labels[4] = -7, -1
    stats = statistics(kernel_of, problem, Target(labels, ignore_index=-7, foreign=True))
    assert stats["top"][3] == stats["rest"][3] == stats["prior_term"][3] == 0
    assert stats["prior_term"][4] > 0
