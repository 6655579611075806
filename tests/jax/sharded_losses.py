"""Losses on four devices that XLA makes of this machine's processor; `test_sharded.py` runs this file by itself."""

import os

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import crossentropy as ce
from crossentropy.jax import softmax_cross_entropy_with_integer_labels as loss_of

RNG = np.random.default_rng(0)
Z, Y = RNG.normal(size=(8, 20)) * 3, np.asarray([0, 5, 7, 19, 11, -7, 4, 20])
WEIGHTS = np.asarray([1.0, 2.0, 0.0, 1.0, 0.5, 1.0, 1.0, 0.0])
OPTIONS = [
    {},
    {
        **{
            "label_smoothing": 0.1,
            "smoothing_prior": np.arange(1.0, 21.0) / 210,
            "z_loss": 0.01,
            "entropy_bonus": 0.1,
        },
        **{
            "softcap": 5.0,
            "ignore_index": 5,
            "class_weight": np.linspace(0.5, 2, 20),
            "sample_weight": WEIGHTS,
        },
    },
    {
        **{
            "link": ce.links.Focal(2.0),
            "temperature": 2.0,
            "margin": 0.3,
            "logit_bias": np.arange(20.0) / 10,
        },
        "where": np.asarray([True] * 4 + [False] * 4),
    },
]


def alike(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def classes_over_devices(mesh):
    for options in OPTIONS:
        of_part = lambda z, options=options: loss_of(z, Y, axis_name="m", **options)  # noqa: E731
        whole = lambda z, options=options: loss_of(z, Y, validate="none", **options)  # noqa: E731
        sharded = jax.shard_map(of_part, mesh=mesh, in_specs=P(None, "m"), out_specs=P())
        alike(jax.jit(sharded)(Z), jax.jit(whole)(Z))
        gradient = jax.jit(jax.grad(lambda z, f=whole: f(z).sum()))(Z)
        alike(jax.jit(jax.grad(lambda z, f=sharded: f(z).sum()))(Z), gradient)
        inside = jax.grad(lambda z, f=of_part: f(z).sum())
        alike(
            jax.jit(jax.shard_map(inside, mesh=mesh, in_specs=P(None, "m"), out_specs=P(None, "m")))(Z),
            gradient,
        )


def rows_over_devices(mesh):
    z, y = jnp.asarray(Z), jnp.clip(jnp.asarray(Y), 0, 19)
    mean = lambda z, y: loss_of(z, y).mean()  # noqa: E731
    value, gradient = jax.value_and_grad(mean)(z, y)
    local = jax.shard_map(loss_of, mesh=mesh, in_specs=(P("m"), P("m")), out_specs=P("m"))
    alike(jax.jit(local)(z, y).mean(), value)
    alike(jax.jit(jax.grad(lambda z: local(z, y).mean()))(z), gradient)
    # Logits that are the same on all devices get the gradient of all their labels.
    shared = jax.shard_map(loss_of, mesh=mesh, in_specs=(P(), P("m")), out_specs=P("m"))
    each = lambda z: loss_of(jnp.tile(z, (4, 1)), y).sum()  # noqa: E731
    alike(jax.grad(lambda z: shared(z, y).sum())(z[:2]), jax.grad(each)(z[:2]))
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((4,), ("m",), axis_types=(kind,))
        arrays = (jax.device_put(x, NamedSharding(mesh, P("m"))) for x in (z, y))
        for got, expected in zip(jax.jit(jax.value_and_grad(mean))(*arrays), (value, gradient), strict=True):
            alike(got, expected)


Z3, Y3 = RNG.normal(size=(8, 5, 6)) * 2, RNG.integers(0, 5, (8, 6))
SOFT, YES = RNG.dirichlet(np.ones(20), 8), RNG.integers(0, 2, (8, 20))
ROWS = np.clip(Y, 0, 19)
#: A loss of every row, its logits, and what else has a row for each of theirs.
OF_ROWS = {
    "many classes": (
        ce.softmax_cross_entropy,
        np.tile(Z, 5),
        (ROWS,),
        {"label_smoothing": 0.1, "z_loss": 0.1},
    ),
    "few classes": (ce.softmax_cross_entropy, Z, (ROWS,), {}),
    "float32": (ce.softmax_cross_entropy, Z.astype("float32"), (ROWS.astype("int32"),), {"temperature": 2.0}),
    "soft": (ce.softmax_cross_entropy, Z, (SOFT,), {"link": ce.links.Focal(2.0), "entropy_bonus": 0.1}),
    "images": (ce.softmax_cross_entropy, Z3, (Y3,), {"axis": 1}),
    "two axes of rows": (ce.softmax_cross_entropy, Z3, (RNG.integers(0, 6, (8, 5)),), {}),
    "questions": (ce.sigmoid_cross_entropy, Z, (YES,), {"label_smoothing": 0.1}),
    "focal": (ce.softmax_cross_entropy, Z, (ROWS,), {"link": ce.links.Focal(2.0), "label_smoothing": 0.1}),
    "soft targets": (ce.softmax_cross_entropy, Z, (SOFT,), {}),
    "tempered": (ce.losses.bi_tempered_loss, Z3, (Y3,), {"axis": 1}),
    "squares": (ce.losses.brier_loss, Z3, (Y3,), {"axis": 1}),
    "hinges": (ce.losses.hinge_loss, Z, (ROWS,), {"kind": "weston-watkins"}),
    "teacher": (ce.losses.distillation_loss, Z, (np.cos(Z), ROWS), {}),
    "questions of rows": (ce.sigmoid_cross_entropy, Z[:, 0], (YES[:, 0],), {"link": ce.links.Focal(2.0)}),
}


def rows_stay_where_they_are(mesh):
    """Kernels are called for each device's rows: no logits are gathered, and every bit is that of one device."""
    lies = NamedSharding(mesh, P("m"))
    for loss, z, labels, options in OF_ROWS.values():

        def losses(z, *labels, loss=loss, options=options):
            return loss(z, *labels, reduction="none", validate="none", **options)

        def first(z, *labels, losses=losses):
            value, pull = jax.vjp(lambda z: losses(z, *labels), z)
            return value, pull(jnp.cos(value))[0]

        def forwards(z, *labels, first=first):
            return jax.jvp(lambda z: first(z, *labels), (z,), (jnp.sin(z),))

        def mapped(z, *labels, losses=losses):
            return jax.vmap(lambda z: losses(z, *labels), in_axes=-1, out_axes=-1)(jnp.stack([z, 2 * z], -1))

        for derived, equal in ((first, np.testing.assert_array_equal), (forwards, alike), (mapped, alike)):
            program = jax.jit(derived)
            arrays = [jax.device_put(x, lies) for x in (z, *labels)]
            if derived is first:
                text = program.lower(*arrays).compile().as_text()
                assert "crossentropy_" in text
                assert "all-gather" not in text
            for got, expected in zip(
                jax.tree.leaves(program(*arrays)), jax.tree.leaves(program(z, *labels)), strict=True
            ):
                assert got.sharding.is_equivalent_to(lies, got.ndim)
                equal(got, expected)


def sums_of_rows_stay_where_they_are(mesh):
    """So does a mean, of which the kernel gives the sums of rows."""
    z, y = np.tile(Z, (10, 1)), np.tile(YES, (10, 1))
    program = jax.jit(jax.value_and_grad(lambda z, y: ce.sigmoid_cross_entropy(z, y, validate="none")))
    arrays = [jax.device_put(x, NamedSharding(mesh, P("m"))) for x in (z, y)]
    assert "all-gather" not in program.lower(*arrays).compile().as_text()
    for got, expected in zip(program(*arrays), program(z, y), strict=True):
        alike(got, expected)


def rows_of_classes_over_devices(mesh):
    """Losses of rows under `shard_map`: logits of each device's own rows, and logits that all devices have."""
    for name in ("focal", "soft targets", "hinges", "teacher"):
        loss, z, others, options = OF_ROWS[name]

        def losses(z, *others, loss=loss, options=options):
            return loss(z, *others, reduction="none", validate="none", **options)

        local = jax.shard_map(losses, mesh=mesh, in_specs=P("m"), out_specs=P("m"))
        alike(jax.jit(local)(z, *others), losses(z, *others))
        total = lambda z, f=losses, o=others: f(z, *o).sum()  # noqa: E731
        alike(jax.jit(jax.grad(lambda z, f=local, o=others: f(z, *o).sum()))(z), jax.grad(total)(z))
        specs = (P(), *(P("m") for _ in others))
        shared = jax.shard_map(losses, mesh=mesh, in_specs=specs, out_specs=P("m"))
        each = lambda z, f=losses, o=others: f(jnp.tile(z, (4, 1)), *o).sum()  # noqa: E731
        alike(jax.grad(lambda z, f=shared, o=others: f(z, *o).sum())(z[:2]), jax.grad(each)(z[:2]))


def classes_are_gathered(mesh):
    """Whatever else devices share is brought together for a kernel, and the losses are those of one device."""
    prior = np.arange(1.0, 21.0) / 210
    given = {"label_smoothing": 0.1, "smoothing_prior": prior, "validate": "none"}
    for spec, options in ((P(None, "m"), {}), (P("m"), given), (P("m", None), given)):
        program = jax.jit(jax.value_and_grad(lambda z, y, o=options: ce.softmax_cross_entropy(z, y, **o)))
        arrays = jax.device_put(Z, NamedSharding(mesh, spec)), jax.device_put(ROWS, NamedSharding(mesh, P()))
        for got, expected in zip(program(*arrays), program(Z, ROWS), strict=True):
            alike(got, expected)
    weighed = jax.jit(jax.grad(lambda z: ce.sigmoid_cross_entropy(z, YES, pos_weight=prior, validate="none")))
    alike(weighed(jax.device_put(Z, NamedSharding(mesh, P("m")))), weighed(Z))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    devices = jax.make_mesh((4,), ("m",), axis_types=(AxisType.Auto,))
    classes_over_devices(devices)
    rows_over_devices(devices)
    rows_stay_where_they_are(devices)
    sums_of_rows_stay_where_they_are(devices)
    rows_of_classes_over_devices(devices)
    classes_are_gathered(devices)
