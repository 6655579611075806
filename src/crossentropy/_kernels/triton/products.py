"""Products of matrices by tensor cores, and the rounding of what they make."""

import triton
import triton.language as tl

# The interpreter multiplies the bits of bfloat16, and cuts float32 off where the device rounds it.
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
def add_product(total, a, b):
    """``total + a b``, summed up in the dtype of the total; float32 keeps all its digits."""
    if INTERPRETED:
        a, b = a.to(total.dtype), b.to(total.dtype)
    return tl.dot(a, b, total, input_precision="ieee", out_dtype=total.dtype)


@triton.jit
def as_stored(x, dtype: tl.constexpr):
    """`x` as it is read again once it has been stored in a dtype: rounded to that, in its own."""
    if INTERPRETED and dtype == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000  # to nearest, ties to even
        return bits.to(tl.float32, bitcast=True)
    else:
        return x.to(dtype).to(x.dtype)
