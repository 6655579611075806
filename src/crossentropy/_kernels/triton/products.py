"""Matrix products by tensor cores, and their rounding on store."""

import triton
import triton.language as tl

# The interpreter multiplies the bit patterns of bfloat16, and truncates float32 where the device rounds it.
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
def add_product(total, a, b):
    """Return ``total + a b``, summed in the dtype of `total`; float32 is not shortened to TF32."""
    if INTERPRETED:
        a, b = a.to(total.dtype), b.to(total.dtype)
    return tl.dot(a, b, total, input_precision="ieee", out_dtype=total.dtype)


@triton.jit
def as_stored(x, dtype: tl.constexpr):
    """Round `x` to `dtype` and back to its own, as a store and a load do."""
    if INTERPRETED and dtype == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000  # to nearest, ties to even
        return bits.to(tl.float32, bitcast=True)
    else:
        return x.to(dtype).to(x.dtype)
