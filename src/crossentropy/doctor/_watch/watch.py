"""Watch the losses of a training loop."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.optim import optimizer as optimizers

from crossentropy._arguments.errors import integer
from crossentropy._engine.softmax import solve as engine
from crossentropy.doctor._watch.calls import Recorder
from crossentropy.doctor._watch.findings import findings_of, unseen_of
from crossentropy.doctor._watch.losses import Readers
from crossentropy.doctor.finding import Report, in_order
from crossentropy.losses import sigmoid as sigmoid_losses
from crossentropy.losses import softmax as softmax_losses
from crossentropy.torch import functional as face

__all__ = ["watch"]

#: Functions are put back as they were found, which two blocks that end in any order could not both do.
_watching = Lock()


@contextmanager
def watch(*, steps: int = 100) -> Iterator[Report]:
    """Watch the losses of a PyTorch training loop, and report what is wrong with them.

    In the block, the losses of this package and ``cross_entropy``, ``nll_loss``, ``binary_cross_entropy``,
    ``binary_cross_entropy_with_logits`` and ``kl_div`` of ``torch.nn.functional``, and the modules that call them, are
    looked at: what they are called with, what they return, and the gradients that come back. Nothing is changed. After
    so many optimizer steps they are as they were, and cost nothing.

    Parameters
    ----------
    steps : int, default 100
        How many optimizer steps are watched.

    Yields
    ------
    Report
        It is empty, and has its findings when the block ends, also by an error. Values are in nats.

    Raises
    ------
    ValueError
        If `steps` is below 1.
    TypeError
        If `steps` is no integer.
    RuntimeError
        If losses are watched already.
    ImportError
        If PyTorch is not installed.

    Examples
    --------
    >>> import torch
    >>> from crossentropy import doctor
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(dim=1))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with doctor.watch() as report:
    ...     for _ in range(5):
    ...         loss = torch.nn.functional.cross_entropy(model(torch.randn(32, 4)), torch.randint(3, (32,)))
    ...         loss.backward()
    ...         optimizer.step()
    >>> report[0].name, round(report[0].evidence["floor_of_the_loss"], 4)
    ('softmax_twice', 0.5514)
    """
    if integer(steps, "steps") < 1:
        raise ValueError(f"steps is {steps}; pass the number of optimizer steps to watch, 1 or more")
    if not _watching.acquire(blocking=False):
        raise RuntimeError(
            "losses are watched already; leave the block of the first watch() before the next begins"
        )
    recorder, report = Recorder(steps), Report()
    with ExitStack() as hooks, ExitStack() as functions:
        hooks.callback(_watching.release)
        _replace_functions(recorder, functions)
        _add_hooks(recorder, hooks, functions)
        try:
            yield report
        finally:
            functions.close()
            recorder.has_ended = True  # for functions that were taken out of the block
            report.findings = in_order(findings_of(recorder))
            report.unseen = unseen_of(recorder)
            report.looked_at = f"{len(recorder.calls)} calls of losses in {recorder.step} optimizer steps"


def _replace_functions(recorder: Recorder, replaced: ExitStack) -> None:
    """Put functions that look on in the places of losses, until `replaced` is closed."""
    readers = Readers(recorder)

    def replace(owner: Any, name: str, new: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        is_its_own = name in vars(owner)
        old = getattr(owner, name)
        setattr(owner, name, new(old))
        if is_its_own:
            replaced.callback(setattr, owner, name, old)
        else:
            replaced.callback(delattr, owner, name)

    # what torch.nn.functional calls, so that a function that was imported before is seen too
    for owner, name, read in (
        (torch._C._nn, "cross_entropy_loss", readers.cross_entropy),
        (torch._C._nn, "nll_loss_nd", readers.nll),
        (torch._C._nn, "binary_cross_entropy", readers.binary),
        (torch, "binary_cross_entropy_with_logits", readers.binary_with_logits),
        (sigmoid_losses, "sigmoid_loss", readers.sigmoid),
    ):
        replace(owner, name, partial(recorder.watched, read=read))

    def watched_solve(old: Callable[..., Any]) -> Callable[..., Any]:
        solve = recorder.watched(lambda problem, logits: old(problem), readers.softmax_problem)
        return lambda problem: solve(problem, problem.logits)  # which may be taken out of it

    for module in (engine, softmax_losses, face):
        replace(module, "solve", watched_solve)

    def follow_temperatures() -> None:
        """Follow divisions and softmaxes, of which an optimizer makes many: only where there is a divergence."""
        for place in (Tensor, torch):
            for name in ("softmax", "log_softmax"):
                replace(place, name, partial(_followed, look=recorder.softmax))
        replace(Tensor, "__truediv__", partial(_followed, look=recorder.divide))

    def watched_divergence(old: Callable[..., Any]) -> Callable[..., Any]:
        kl_div = recorder.watched(old, readers.divergence)
        is_first = True

        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal is_first
            if is_first and not recorder.is_done:
                is_first = False
                follow_temperatures()
            return kl_div(*arguments, **options)

        return call

    replace(torch, "kl_div", watched_divergence)
    replace(Tensor, "backward", lambda old: _announced(old, recorder.of_root))


def _add_hooks(recorder: Recorder, hooks: ExitStack, functions: ExitStack) -> None:
    """Count optimizer steps; after the last one that is watched, functions are put back."""

    def after_step(*_: Any) -> None:
        recorder.of_step()
        if recorder.is_done:
            functions.close()

    before = optimizers.register_optimizer_step_pre_hook(lambda o, *_: recorder.before_step(o))
    after = optimizers.register_optimizer_step_post_hook(after_step)
    hooks.callback(before.remove)
    hooks.callback(after.remove)


def _followed(function: Callable[..., Any], *, look: Callable[..., None]) -> Callable[..., Any]:
    """Return a function after whose calls ``look(result, *arguments, **options)`` is called."""

    def call(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        if not torch.compiler.is_compiling():
            look(result, *arguments, **options)
        return result

    return call


def _announced(function: Callable[..., Any], look: Callable[..., None]) -> Callable[..., Any]:
    """Return a method before whose calls ``look`` is called with its object."""

    def call(this: Any, *arguments: Any, **options: Any) -> Any:
        look(this)
        return function(this, *arguments, **options)

    return call
