"""The same inputs give the same bits: over runs, threads, places in a batch and processes."""

import multiprocessing
import threading
import time

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

LINKS = {"cross-entropy": None, "focal": ce.links.Focal(2.0), "focal 0.5": ce.links.Focal(0.5)}
every_link = pytest.mark.parametrize("link", LINKS)
# tiles, wide rows, rows of several chunks, class axis 1
SHAPES = {
    "tile": ((3001, 33), 1),
    "wide": ((257, 1000), 1),
    "long": ((9, 9001), 1),
    "NCHW": ((5, 21, 19, 23), 1),
}


def batch(shape, axis, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, generator=generator) * 5
    rows = shape[:axis] + shape[axis + 1 :]
    y = torch.randint(0, shape[axis], rows, generator=generator)
    y.view(-1)[::7] = -100
    return z.to(dtype), y


def value_and_gradient(z, y, **options):
    z = z.detach().requires_grad_()
    value = ce.softmax_cross_entropy(z, y, ignore_index=-100, **options)
    return value.detach(), torch.autograd.grad(value.sum(), z)[0]


def on_threads(counts, work):
    before = torch.get_num_threads()
    try:
        for n in counts:
            torch.set_num_threads(n)
            yield work()
    finally:
        torch.set_num_threads(before)


def assert_all_equal(results):
    first, *others = results
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert torch.equal(a, b)


@every_link
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_index_targets_give_the_same_bits_on_any_number_of_threads(dtype, shape, link):
    z, y = batch(*SHAPES[shape], dtype)
    for options in ({}, {"sample_weight": torch.rand(y.shape)}):
        results = on_threads(
            (1, 2, 3, 4),
            lambda options=options: value_and_gradient(z, y, axis=1, link=LINKS[link], **options),
        )
        assert_all_equal(results)


@pytest.mark.parametrize("target", ["smoothed", "soft", "set", "pairs", "regularized"])
def test_every_other_loss_gives_the_same_bits_over_runs(target):
    z, y = batch((700, 140), 1)
    y = y.clamp(min=0)
    soft = torch.softmax(z.roll(1, 0), 1)
    labels, options = {
        "smoothed": (y, {"label_smoothing": 0.1, "class_weight": torch.rand(140)}),
        "soft": (soft, {}),
        "set": (ce.targets.LabelSet(soft >= soft.max(1, keepdim=True).values), {}),
        "pairs": (ce.targets.Sparse(torch.stack([y, y.roll(1)], -1), torch.full((700, 2), 0.5)), {}),
        "regularized": (y, {"z_loss": 1e-3, "entropy_bonus": 0.01}),
    }[target]

    def run():
        leaf = z.detach().requires_grad_()
        value = ce.softmax_cross_entropy(leaf, labels, **options)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    assert_all_equal(run() for _ in range(4))


@every_link
@pytest.mark.parametrize("classes", [2, 5, 64, 128, 129, 1000, 5000])
def test_a_rows_loss_and_gradient_do_not_depend_on_the_rows_around_it(classes, link):
    rows = 197 if classes < 1000 else 9
    z, y = batch((rows, classes), 1)
    losses, gradient = value_and_gradient(z, y, link=LINKS[link], reduction="none")
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(1))
    moved = value_and_gradient(z[order], y[order], link=LINKS[link], reduction="none")
    assert torch.equal(moved[0], losses[order])
    assert torch.equal(moved[1], gradient[order])
    for size in (1, 3, 7, 63, 65, 101):
        for start in range(0, rows, size):
            part = slice(start, start + size)
            found = value_and_gradient(z[part], y[part], link=LINKS[link], reduction="none")
            assert torch.equal(found[0], losses[part])
            assert torch.equal(found[1], gradient[part])
            if start > 8 * size:
                break


@pytest.mark.parametrize("target", ["smoothed", "set", "pairs", "regularized"])
@pytest.mark.parametrize("classes", [70, 300, 5000])
def test_a_rows_loss_of_several_classes_does_not_depend_on_the_rows_around_it(classes, target):
    rows = 197 if classes < 1000 else 67
    z, y = batch((rows, classes), 1)
    y = y.clamp(min=0)
    member = torch.rand(z.shape, generator=torch.Generator().manual_seed(2)) < 0.1
    member[:, 0] = True
    pairs, masses = torch.stack([y, y.roll(1)], -1), torch.tensor([0.7, 0.3]).expand(rows, 2)
    labels, options = {
        "smoothed": (lambda part: y[part], {"label_smoothing": 0.1, "class_weight": torch.rand(classes)}),
        "set": (lambda part: ce.targets.LabelSet(member[part]), {}),
        "pairs": (lambda part: ce.targets.Sparse(pairs[part], masses[part]), {}),
        "regularized": (lambda part: y[part], {"z_loss": 1e-3, "entropy_bonus": 0.01}),
    }[target]

    def run(part):
        leaf = z[part].detach().requires_grad_()
        value = ce.softmax_cross_entropy(leaf, labels(part), reduction="none", **options)
        return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]

    losses, gradient = run(slice(None))
    for part in (slice(0, 1), slice(5, 12), slice(60, 67), slice(1, 66)):
        found = run(part)
        assert torch.equal(found[0], losses[part])
        assert torch.equal(found[1], gradient[part])


@every_link
def test_a_row_that_makes_no_sense_changes_no_bit_of_its_neighbors(link):
    for classes in (10, 300):
        z, y = batch((130, classes), 1)
        y = y.clamp(min=0)
        spoilt = z.clone()
        spoilt[17, 3], spoilt[64, :], spoilt[100, 0] = torch.nan, -torch.inf, torch.inf
        keep = torch.ones(130, dtype=torch.bool)
        keep[[17, 64, 100]] = False
        clean = value_and_gradient(z, y, link=LINKS[link], reduction="none")
        found = value_and_gradient(spoilt, y, link=LINKS[link], reduction="none")
        for a, b in zip(found, clean, strict=True):
            assert torch.equal(a[keep], b[keep])
            assert (
                torch.isnan(a[~keep]).flatten(1).any(1).all() if a.ndim > 1 else torch.isnan(a[~keep]).all()
            )


@pytest.mark.parametrize("classes", [10, 300])
def test_the_order_of_memory_changes_no_bit_of_a_loss_of_few_classes(classes):
    """The same kernel reads the same rows; tiles do not care where they came from."""
    z, y = batch((65, classes), 1)
    other = torch.empty(130, classes)[::2]
    other.copy_(z)
    assert not other.is_contiguous()
    assert_all_equal([value_and_gradient(z, y), value_and_gradient(other, y)])


# ------------------------------------------------------------------------------------------ processes


def child_result(z, y):
    value, gradient = value_and_gradient(z, y)
    return value.item().hex(), gradient.numpy().tobytes()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_a_forked_child_finishes_with_the_parents_bits(framework):
    """OpenMP's workers do not survive a fork; waiting for them would take forever."""
    z, y = batch((4001, 40), 1)

    def work():
        if framework == "torch":
            return child_result(z, y)
        value, gradient = ce.loss_and_gradient(
            ce.softmax_cross_entropy, z.numpy(), y.numpy(), ignore_index=-100
        )
        return float(value).hex(), gradient.tobytes()

    (expected,) = on_threads([2], work)
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sending.send(work()))
    child.start()
    try:
        assert receiving.poll(30), "the child did not finish"
        assert receiving.recv() == expected
        child.join(10)
        assert child.exitcode == 0
    finally:
        if child.is_alive():
            child.kill()
    assert work() == expected  # and the parent goes on


class Scored(torch.utils.data.Dataset):
    """Rows with their losses, worked out by whoever loads them."""

    def __init__(self):
        self.z, self.y = batch((8, 300, 40), 2)

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return ce.softmax_cross_entropy(self.z[i], self.y[i], ignore_index=-100)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_workers_of_a_data_loader_score_like_their_parent():
    data = Scored()
    (here,) = on_threads([2], lambda: torch.stack([data[i] for i in range(8)]))
    loader = torch.utils.data.DataLoader(data, batch_size=4, num_workers=2, timeout=30)
    assert torch.equal(torch.cat(list(loader)), here)


# -------------------------------------------------------------------------------------------- threads


def test_other_python_threads_run_while_a_kernel_does():
    """A thread that only counts gets on with it during one long call."""
    z = np.random.default_rng(0).normal(size=(256, 50_000)).astype(np.float32)
    y = np.zeros(256, dtype=np.int64)
    ce.softmax_cross_entropy(z, y, validate="none")
    ticks, stop = [], threading.Event()

    def count():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    counter = threading.Thread(target=count)
    counter.start()
    try:
        start = time.perf_counter()
        while time.perf_counter() - start < 0.2:
            begun = time.perf_counter()
            ce.softmax_cross_entropy(z, y, validate="none")
            ended = time.perf_counter()
    finally:
        stop.set()
        counter.join()
    inside = [t for t in ticks if begun < t < ended]
    assert len(inside) >= 2, f"no tick within a call of {1e3 * (ended - begun):.1f} ms"


def test_losses_of_several_python_threads_at_once_are_those_of_one():
    z, y = batch((301, 140), 1)
    expected = value_and_gradient(z, y)
    results = [None] * 4

    def work(i):
        results[i] = [value_and_gradient(z, y) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in results:
        assert_all_equal([expected, *found])
