"""Every loss compiled, exported, traced and in ONNX, at batches of 32, 32, 7, 1 and 0 rows, is the eager loss.

Compiled losses call the kernels by operators of ours; programs that are to run elsewhere hold PyTorch's alone.
"""

import io
import shutil

import pytest

torch = pytest.importorskip("torch")

from torch._dynamo.testing import CompileCounterWithBackend  # noqa: E402

import crossentropy as ce  # noqa: E402
from losses.catalogue.table import CASES  # noqa: E402
from losses.programs import OTHERS, Loss  # noqa: E402

BATCHES = (32, 32, 7, 1, 0)
EVERY = CASES + OTHERS
STATE = "EarlyLearningRegularization"  # whose loss writes its state, which a program cannot
#: What has no program, and the reason that its error names.
NOT_EXPORTED = {STATE: "cannot change a state", "ctc_loss": "depends on the lengths"}
NOT_COMPILED = {STATE: "cannot change a state", "ctc_loss": "a graph break at PyTorch's own ctc_loss"}
NOT_TRACED = {STATE: "cannot change a state"}
NOT_IN_ONNX = {
    STATE: "cannot change a state",
    "ctc_loss": "ctc_loss",
    "backward_corrected_loss": "linalg_inv",  # ONNX has no inverse of a matrix
    "hard_example_loss": "sort",  # nor an order in which equal numbers stay as they are
    "log_loss-classes": "searchsorted",
}
#: Of no sequences PyTorch's algorithm has no loss, and of no pairs there is no class to choose among.
NEVER_EMPTY = {"ctc_loss", "info_nce", "nt_xent", "supervised_contrastive", "clip_loss"}
#: What is quick enough to be run each time, of what is slow.
QUICK = {"softmax_cross_entropy-transformed", "sigmoid_cross_entropy-weighted", "linear with options"}
IN_ONNX = {("softmax_cross_entropy-transformed", "dynamo"), ("sigmoid_cross_entropy-weighted", "TorchScript")}
COMPILED = {
    "softmax_cross_entropy-transformed",
    "sigmoid_focal_loss",
}  # test_information.py compiles divergences
EXPORTED = QUICK | {
    "distillation_loss-labels",
    "focal_loss",
    "kl_divergence",
    "ppo_loss",
    "sequence_cross_entropy-shifted",
    "zlpr_loss",
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("error:Dynamo detected a call to a `functools.lru_cache`:UserWarning"),
]


@pytest.fixture(autouse=True)
def _traced_programs_are_forgotten():
    """A trace makes a type of its own, which PyTorch keeps with its graph: of all losses nearly a gigabyte."""
    yield
    torch.jit._recursive.concrete_type_store = torch.jit._recursive.ConcreteTypeStore()
    torch.jit._state._clear_class_state()
    torch._C._jit_clear_class_registry()


def programs(without=(), quick=None):
    """The cases; those that are not quick, by default all but the first of every loss, are for the full suite."""
    seen, params = set(), []
    for case in EVERY:
        fast = case.loss not in seen if quick is None else case.name in quick
        seen.add(case.loss)
        if not {case.loss, case.name} & set(without):
            params.append(pytest.param(case, id=case.name, marks=() if fast else pytest.mark.full))
    return pytest.mark.parametrize("case", params)


def refused(reasons):
    return pytest.mark.parametrize(
        ("case", "reason"),
        [
            pytest.param(case, reason, id=case.name)
            for case in EVERY
            for name, reason in reasons.items()
            if name in (case.loss, case.name)
        ],
    )


def batches(loss):
    """How many rows a loss takes."""
    return [n for n in BATCHES if n or loss.case.loss not in NEVER_EMPTY]


def run(function, loss, arguments, *, slopes=True):
    """The value, and the gradients by all that is differentiable."""
    learning = loss.learning(arguments)
    if not slopes:
        return [function(*arguments)]
    for x in learning:
        x.requires_grad_()
    value = function(*arguments)
    found = torch.autograd.grad(value.sum(), learning, allow_unused=True, materialize_grads=True)
    return [value.detach(), *found]


def assert_close(found, expected, units=64):
    """Within some units of float64 of the largest entry."""
    for got, want in zip(found, expected, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        eps = units * torch.finfo(want.dtype).eps
        largest = float(want.nan_to_num(0, 0, 0).abs().max()) if want.numel() else 0.0
        torch.testing.assert_close(got, want, rtol=eps, atol=eps * max(largest, 1e-3), equal_nan=True)


def dynamic(loss):
    rows = {0: torch.export.Dim.DYNAMIC}
    return (tuple(rows if loss.has_rows(name) else {} for name in loss.arrays),)


def exported(loss):
    return torch.export.export(loss, loss.arguments(loss.rows), dynamic_shapes=dynamic(loss))


@programs(NOT_EXPORTED, EXPORTED)
def test_an_exported_loss_is_the_eager_one_with_operators_of_pytorch_alone(case):
    loss = Loss(case)
    program = exported(loss)
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in operators if "crossentropy" in name or "higher_order" in name]
    module = program.module()
    for n in batches(loss):
        arguments = loss.arguments(n)
        assert_close([module(*arguments)], [loss(*arguments)])


@programs(NOT_TRACED)
def test_a_traced_loss_is_the_eager_one_and_so_is_its_gradient(case):
    loss = Loss(case)
    program = torch.jit.trace(loss, loss.arguments(loss.rows), check_trace=False)
    assert "PythonOp" not in str(program.graph)
    for n in batches(loss):
        assert_close(run(program, loss, loss.arguments(n)), run(loss, loss, loss.arguments(n)))


@programs(NOT_COMPILED, COMPILED)
def test_a_compiled_loss_is_the_eager_one_and_is_compiled_once_for_all_sizes(case):
    loss = Loss(case)
    torch.compiler.reset()
    count = CompileCounterWithBackend("aot_eager")
    program = torch.compile(loss, fullgraph=True, backend=count)
    for n in (*batches(loss), 9, 11):
        assert_close(run(program, loss, loss.arguments(n)), run(loss, loss, loss.arguments(n)))
    assert count.frame_count <= 5  # the first size, all others, and perhaps 2, 1 and 0


@refused(NOT_EXPORTED)
def test_a_loss_that_cannot_be_exported_says_why(case, reason):
    with pytest.raises(Exception, match=reason):
        exported(Loss(case))


@pytest.mark.parametrize(
    "record",
    [
        exported,
        lambda loss: torch.jit.trace(loss, loss.arguments(5), check_trace=False),
        lambda loss: torch.compile(loss, fullgraph=True, backend="eager")(*loss.arguments(5)),
    ],
    ids=["export", "trace", "compile"],
)
def test_a_state_that_a_program_would_have_to_write_is_refused(record):
    torch.compiler.reset()
    case = next(case for case in EVERY if case.loss == STATE)
    with pytest.raises(Exception, match=NOT_EXPORTED[STATE]):
        record(Loss(case))


# ------------------------------------------------------------------------------------------------ ONNX


def onnx_bytes(loss, newer):
    """The loss of float32 in ONNX, with a dynamic batch."""
    pytest.importorskip("onnxscript" if newer else "onnx")
    example, names, buffer = loss.arguments(loss.rows, torch.float32), list(loss.arrays), io.BytesIO()
    if newer:
        program = torch.onnx.export(
            loss, example, dynamo=True, dynamic_shapes=dynamic(loss), input_names=names, verbose=False
        )
        program.save(buffer)
    else:
        axes = {name: {0: "rows"} for name in names if loss.has_rows(name)}
        torch.onnx.export(
            loss, example, buffer, dynamo=False, input_names=names, dynamic_axes=axes, opset_version=17
        )
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("case", "newer"),
    [
        pytest.param(
            case,
            newer,
            id=f"{case.name}-{exporter}",
            marks=() if (case.name, exporter) in IN_ONNX else pytest.mark.full,
        )
        for case in EVERY
        if not {case.loss, case.name} & set(NOT_IN_ONNX)
        for newer, exporter in ((False, "TorchScript"), (True, "dynamo"))
    ],
)
def test_onnxruntime_finds_the_eager_loss(case, newer):
    runtime = pytest.importorskip("onnxruntime")
    loss = Loss(case)
    session = runtime.InferenceSession(onnx_bytes(loss, newer), providers=["CPUExecutionProvider"])
    known = {x.name for x in session.get_inputs()}
    for n in batches(loss):
        arguments = loss.arguments(n, torch.float32)
        feed = {name: x.numpy() for name, x in zip(loss.arrays, arguments, strict=True) if name in known}
        (value,) = session.run(None, feed)
        torch.testing.assert_close(
            torch.from_numpy(value), loss(*arguments), rtol=2e-6, atol=2e-7, equal_nan=True
        )


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("newer", [False, True], ids=["TorchScript", "dynamo"])
@refused(NOT_IN_ONNX)
def test_a_loss_that_onnx_has_no_operators_for_says_which(case, reason, newer):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        onnx_bytes(Loss(case), newer)
    text, error = "", caught.value
    while error is not None:
        text, error = text + str(error), error.__cause__
    assert reason in text.lower()


# --------------------------------------------------------------------------------------------- machine code

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="inductor needs a compiler"
)


@needs_compiler
@programs(NOT_COMPILED, ())
def test_a_loss_compiled_to_machine_code_is_the_eager_one(case):
    loss = Loss(case)
    torch.compiler.reset()
    program = torch.compile(loss, fullgraph=True)
    for n in batches(loss):
        assert_close(run(program, loss, loss.arguments(n)), run(loss, loss, loss.arguments(n)))


@needs_compiler
@programs(NOT_EXPORTED, ())
def test_a_loss_in_a_package_of_machine_code_is_the_eager_one(case, tmp_path):
    loss = Loss(case)
    path = torch._inductor.aoti_compile_and_package(exported(loss), package_path=str(tmp_path / "loss.pt2"))
    program = torch._inductor.aoti_load_package(path)
    for n in batches(loss):
        arguments = loss.arguments(n)
        assert_close([program(*arguments)], [loss(*arguments)])


# ------------------------------------------------------------------------------------------------- sizes


def test_a_head_of_many_sizes_is_compiled_twice():
    """Once for the first size, and once for all others."""
    torch.compiler.reset()
    count = CompileCounterWithBackend("eager")
    loss = torch.compile(ce.linear_cross_entropy, fullgraph=True, backend=count)
    weight = torch.eye(4, 3)
    for n in (32, 32, 7, 9, 11, 13):
        hidden, labels = torch.ones(n, 3), torch.arange(n) % 4
        torch.testing.assert_close(
            loss(hidden, weight, labels), ce.linear_cross_entropy(hidden, weight, labels)
        )
    assert count.frame_count == 2


def test_a_normalizer_may_be_a_size_of_an_exported_program():
    class Sum(torch.nn.Module):
        def forward(self, z, y):
            return ce.softmax_cross_entropy(z, y, normalizer=z.shape[0])

    def of(n):
        return torch.linspace(-1, 1, 3 * n).reshape(n, 3), torch.arange(n) % 3

    rows = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(Sum(), of(5), dynamic_shapes=(rows, rows)).module()
    for n in (7, 2):
        torch.testing.assert_close(program(*of(n)), ce.softmax_cross_entropy(*of(n)))
