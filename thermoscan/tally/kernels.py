"""The tally's inner loops, one per element type, in the subset of Python that numba compiles.

A kernel visits a chunk of consecutive elements once. The chunk is a slice, from flat position
`start` on, of a C-ordered array ``(outer, units, post)``, so ``unit = position // post % units``.
Elements of one unit that lie side by side form a *run*. With ``post == 1`` units lie side by side
instead (a transposed matrix), and a run crosses several units, which all share one input. A
*segment* is a range of units with a histogram and moments of its own (one part of a fused tensor).
A *span* is a stretch of one segment, short enough to stay in the first-level cache while it is
counted into the histogram and then, run by run, summed into its units' energies.

Arguments of every kernel, as raw pointers and 64-bit integers:

=================  ===============================================================================
data, n            the chunk: n elements
start, units, post the geometry above
bounds, segments   segment k is the units ``bounds[k] .. bounds[k + 1]``
hist               uint32 ``(segments + 1, 65536)``: elements per pattern (16-bit), per pair of
                   patterns (8-bit; the odd last element of a span goes to the last row, from 256
                   times the segment on), or per leading 16 bits of the float32 value (32, 64-bit)
moments            float64 ``(segments, 12)``, columns as in `thermoscan.tally.record.Column`;
                   32- and 64-bit only, the others' moments follow from the histogram
energy             float64 ``(units,)``: sum of squares
gain, shift        float32 input weights: per position in `post` (mode 1), or per `outer` index
                   (mode 2); mode 0: none
gained, shifted    float64 ``(units,)``: sum of ``(w·gain)²`` and of ``w·shift``
=================  ===============================================================================

Non-finite elements are counted and left out of every sum: a span that holds one, or a value whose
square leaves float32, takes the exact path element by element.

A second kind of kernel walks two chunks of one type side by side, over the same geometry, and
writes sums over pairs of elements, per segment, columns as in `thermoscan.tally.record.PairColumn`.
A pair in which either element is not finite is left out of every sum.

Only `thermoscan.tally.native` imports this module, to compile it; nothing here runs as Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, from_dtype, njit, types
from numpy import float32, float64, int32, int64, uint8, uint16, uint32, uint64

SPAN = 2048
_CELLS = 65536
_FAST = {"reassoc", "contract", "nsz"}
_inline = njit(inline="always", error_model="numpy", fastmath=_FAST)
_function = njit(error_model="numpy", fastmath=_FAST)

# Runs whose largest magnitude lies between 2^-40 and 2^40 have squares that float32 sums well.
_SMALL = 87 << 23
_LARGE = 167 << 23


def _compile(
    element: Any,
    value: Any,
    size_of: Any,
    finite: Any,
    observe: Any,
    is_plain: Any,
    is_sound: Any,
    accumulator: Any,
) -> Any:
    """Makes the kernel of one element type.

    Args:
        element: The unsigned integer type of an element's bits.
        value: Bits to value, as `accumulator`'s type.
        size_of: Bits to magnitude, likewise: cheaper, and enough for a square.
        finite: Bits to whether the value is finite.
        observe: Counts a span into its histogram and moments; False where not all of it is finite.
        is_plain: Whether a run is finite and within the range that `accumulator` sums well.
        is_sound: The same, told from a run and its sum of squares, which costs less.
        accumulator: float32 or float64: the type in which a run is summed.
    """

    @_function
    def squares(run: Any) -> float:
        total = accumulator(0)
        for k in range(run.size):
            x = size_of(run[k])
            total += x * x
        return float64(total)

    @_function
    def plain_sum(run: Any) -> float:
        total = accumulator(0)
        for k in range(run.size):
            total += value(run[k])
        return float64(total)

    @_function
    def weighted(run: Any, gain: Any, shift: Any) -> tuple[float, float]:
        gained = accumulator(0)
        shifted = accumulator(0)
        for k in range(run.size):
            x = value(run[k])
            g = x * gain[k]
            gained += g * g
            shifted += x * shift[k]
        return float64(gained), float64(shifted)

    @_function
    def across(run: Any, energy: Any) -> None:
        for k in range(run.size):
            x = float64(value(run[k]))
            energy[k] += x * x

    @_function
    def across_weighted(run: Any, gain: float, shift: float, gained: Any, shifted: Any) -> None:
        square = gain * gain
        for k in range(run.size):
            x = float64(value(run[k]))
            gained[k] += x * x * square
            shifted[k] += x * shift

    @_function
    def exact(
        run: Any, gain: Any, shift: Any, energy: Any, gained: Any, shifted: Any, mode: int
    ) -> None:
        for k in range(run.size):
            if finite(run[k]):
                x = float64(value(run[k]))
                u = min(k, energy.size - 1)
                energy[u] += x * x
                if mode > 0:
                    w = min(k, gain.size - 1)
                    g = x * float64(gain[w])
                    gained[u] += g * g
                    shifted[u] += x * float64(shift[w])

    @njit(
        _signature(element),
        nogil=True,
        error_model="numpy",
        fastmath=_FAST,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )
    def kernel(  # type: ignore[no-untyped-def]
        data, n, start, units, post, bounds, segments, hist, moments, energy, gain, shift,
        gained, shifted, mode,
    ):  # fmt: skip
        elements = carray(data, n)
        counts = carray(hist, (segments + 1, _CELLS))
        columns = carray(moments, (segments, 12))
        edges = carray(bounds, segments + 1)
        unit_energy = carray(energy, units)
        unit_gained = carray(gained, units)
        unit_shifted = carray(shifted, units)
        segment = 0
        i = 0
        while i < n:
            position = start + i
            unit = position // post % units
            if unit < edges[segment]:
                segment = 0
            while unit >= edges[segment + 1]:
                segment += 1
            ahead = (edges[segment + 1] - unit) * post - position % post
            end = i + min(ahead, n - i, SPAN)
            odd = counts[segments][256 * segment :]
            plain = observe(elements[i:end], counts[segment], odd, columns[segment])
            while i < end:
                position = start + i
                unit = position // post % units
                inner = position % post
                size = min(post - inner, end - i) if post > 1 else end - i
                run = elements[i : i + size]
                last = unit + 1 if post > 1 else unit + size
                first_input = inner if mode == 1 else position // (units * post)
                inputs = 0 if mode == 0 else (size if mode == 1 else 1)
                g = carray(gain, first_input + inputs)[first_input:]
                b = carray(shift, first_input + inputs)[first_input:]
                e = unit_energy[unit:last]
                ge = unit_gained[unit:last]
                se = unit_shifted[unit:last]
                s = squares(run) if post > 1 else 0.0
                if not (plain and (is_sound(run, s) if post > 1 else is_plain(run))):
                    exact(run, g, b, e, ge, se, mode)
                elif post > 1:
                    e[0] += s
                    if mode == 1:
                        first, second = weighted(run, g, b)
                        ge[0] += first
                        se[0] += second
                    elif mode == 2:
                        ge[0] += s * float64(g[0]) * float64(g[0])
                        se[0] += plain_sum(run) * float64(b[0])
                else:
                    across(run, e)
                    if mode == 2:
                        across_weighted(run, float64(g[0]), float64(b[0]), ge, se)
                i += size
        return 0

    return kernel


def _compile_pairs(element: Any, value: Any, finite: Any) -> Any:
    """Makes the kernel of pairs of one element type; see `_compile` for the arguments."""

    @_function
    def plain(run: Any, base: Any, sums: Any) -> bool:
        equal = 0
        product = 0.0
        square = 0.0
        base_square = 0.0
        difference_square = 0.0
        gained_square = 0.0
        for k in range(run.size):
            a = float64(value(run[k]))
            b = float64(value(base[k]))
            d = a - b
            gained = d * (a + b)
            equal += 1 if a == b else 0
            product += a * b
            square += a * a
            base_square += b * b
            difference_square += d * d
            gained_square += gained * gained
        if not square + base_square < np.inf:
            return False
        sums[0] += run.size
        sums[1] += equal
        sums[2] += product
        sums[3] += square
        sums[4] += base_square
        sums[5] += difference_square
        sums[6] += gained_square
        return True

    @_function
    def exact(run: Any, base: Any, sums: Any) -> None:
        for k in range(run.size):
            a = float64(value(run[k]))
            b = float64(value(base[k]))
            sums[1] += 1 if a == b or run[k] == base[k] else 0
            if finite(run[k]) and finite(base[k]):
                d = a - b
                gained = d * (a + b)
                sums[0] += 1
                sums[2] += a * b
                sums[3] += a * a
                sums[4] += b * b
                sums[5] += d * d
                sums[6] += gained * gained

    @njit(
        _pair_signature(element),
        nogil=True,
        error_model="numpy",
        fastmath=_FAST,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )
    def kernel(data, base, n, start, units, post, bounds, segments, sums):  # type: ignore[no-untyped-def]
        elements = carray(data, n)
        others = carray(base, n)
        columns = carray(sums, (segments, 7))
        edges = carray(bounds, segments + 1)
        segment = 0
        i = 0
        while i < n:
            position = start + i
            unit = position // post % units
            if unit < edges[segment]:
                segment = 0
            while unit >= edges[segment + 1]:
                segment += 1
            ahead = (edges[segment + 1] - unit) * post - position % post
            end = i + min(ahead, n - i, SPAN)
            if not plain(elements[i:end], others[i:end], columns[segment]):
                exact(elements[i:end], others[i:end], columns[segment])
            i = end
        return 0

    return kernel


def _pair_signature(element: Any) -> Any:
    at = types.CPointer
    number, bits = types.int64, types.CPointer(from_dtype(np.dtype(element)))
    geometry = (number, number, number, number, at(number), number)
    return number(bits, bits, *geometry, at(types.float64))


def _signature(element: Any) -> Any:
    at = types.CPointer
    number, real, weight = types.int64, at(types.float64), at(types.float32)
    geometry = (number, number, number, number, at(number), number)
    results = (at(types.uint32), real, real, weight, weight, real, real)
    return number(at(from_dtype(np.dtype(element))), *geometry, *results, number)


def _narrow(element: Any, width: int, raise_by: int, scale: float, special: int) -> Any:
    """The kernel of an 8- or 16-bit float.

    Its magnitude bits, moved up by `raise_by`, are a float32 that times `scale` is the magnitude,
    subnormals included; magnitudes from `special` on are not finite.
    """
    sign = 1 << (width - 1)
    magnitude = sign - 1
    factor = float32(scale)
    to_sign = 32 - width

    @_inline
    def value(bits: Any) -> Any:
        raised = (uint32(bits & sign) << uint32(to_sign)) | (
            uint32(bits & magnitude) << uint32(raise_by)
        )
        return uint32(raised).view(float32) * factor

    @_inline
    def size_of(bits: Any) -> Any:
        return uint32(uint32(bits & magnitude) << uint32(raise_by)).view(float32) * factor

    @_inline
    def finite(bits: Any) -> bool:
        return (bits & magnitude) < special

    @_function
    def is_plain(run: Any) -> bool:
        peak = element(0)
        for k in range(run.size):
            peak = max(peak, element(run[k] & element(magnitude)))
        size = float32(size_of(peak)).view(uint32)
        return peak < special and _SMALL <= size < _LARGE

    @_function
    def observe_patterns(run: Any, hist: Any, odd: Any, moments: Any) -> bool:
        for k in range(run.size):
            hist[run[k]] += uint32(1)
        return True

    @_function
    def observe_pairs(run: Any, hist: Any, odd: Any, moments: Any) -> bool:
        for k in range(run.size // 2):
            hist[uint32(run[2 * k]) | (uint32(run[2 * k + 1]) << uint32(8))] += uint32(1)
        if run.size % 2:
            odd[run[run.size - 1]] += uint32(1)
        return True

    # What is not finite decodes to `least` or more. Where no ordinary run sums up to its square,
    # the sum of squares tells all; E4M3's `least` is 480, and scaled weights sum up to more.
    least = _decoded(special, raise_by, scale)
    ceiling = min(least * least, 2.0**80) * 0.999
    quiet = least > 2**15

    @_function
    def is_sound(run: Any, total: float) -> bool:
        if quiet:
            return 2.0**-80 <= total < ceiling
        return is_plain(run)

    observe = observe_pairs if width == 8 else observe_patterns
    return _compile(element, value, size_of, finite, observe, is_plain, is_sound, float32)


def _decoded(magnitude: int, raise_by: int, scale: float) -> float:
    """The value that magnitude bits decode to, finite or not."""
    return float(np.array(magnitude << raise_by, np.uint32).view(np.float32)) * scale


def _wide(element: Any, signed: Any, floating: Any, exponent: int, cell: Any) -> Any:
    """The kernel of a 32- or 64-bit float; `exponent` is the pattern of infinity."""
    top = 8 * np.dtype(element).itemsize - 1
    flip = (1 << top) - 1
    lowest = -exponent

    @_inline
    def value(bits: Any) -> Any:
        return float64(element(bits).view(floating))

    @_inline
    def key(bits: Any) -> Any:
        # Signed integers in the order of the floats: SIMD compares them without a thought for NaN.
        k = element(bits).view(signed)
        return k ^ ((k >> signed(top)) & signed(flip))

    @_inline
    def finite(bits: Any) -> bool:
        return (bits & element(flip)) < element(exponent)

    @_function
    def observe(run: Any, hist: Any, odd: Any, moments: Any) -> bool:
        low = signed(flip)
        high = signed(-flip - 1)
        zeros = 0
        for k in range(run.size):
            order = key(run[k])
            low = min(low, order)
            high = max(high, order)
            zeros += 1 if (run[k] & element(flip)) == element(0) else 0
        for k in range(run.size):
            hist[cell(run[k])] += uint32(1)
        moments[8] += zeros
        plain = high < signed(exponent) and low >= signed(lowest)
        if plain:
            if moments[0] == 0:
                moments[1] = value(run[0])
            pivot = moments[1]
            s1 = 0.0
            s2 = 0.0
            s3 = 0.0
            s4 = 0.0
            for k in range(run.size):
                d = value(run[k]) - pivot
                square = d * d
                s1 += d
                s2 += square
                s3 += square * d
                s4 += square * square
            moments[0] += run.size
            moments[2] += s1
            moments[3] += s2
            moments[4] += s3
            moments[5] += s4
            # The key is its own inverse.
            moments[6] = min(moments[6], value(element(key(element(low)))))
            moments[7] = max(moments[7], value(element(key(element(high)))))
        else:
            observe_exactly(run, moments)
        return plain

    @_function
    def observe_exactly(run: Any, moments: Any) -> None:
        for k in range(run.size):
            if finite(run[k]):
                x = value(run[k])
                if moments[0] == 0:
                    moments[1] = x
                d = x - moments[1]
                moments[0] += 1
                moments[2] += d
                moments[3] += d * d
                moments[4] += d * d * d
                moments[5] += d * d * d * d
                moments[6] = min(moments[6], x)
                moments[7] = max(moments[7], x)
            elif (run[k] & element(flip)) > element(exponent):
                moments[9] += 1
            elif run[k] > element(exponent):
                moments[11] += 1
            else:
                moments[10] += 1

    @_function
    def is_plain(run: Any) -> bool:
        return True

    @_function
    def is_sound(run: Any, total: float) -> bool:
        return True

    return _compile(element, value, value, finite, observe, is_plain, is_sound, float64)


@_inline
def _cell32(bits: Any) -> Any:
    return uint32(bits) >> uint32(16)


@_inline
def _cell64(bits: Any) -> Any:
    x = uint64(bits).view(float64)
    if x > 3.0e38 and (uint64(bits) & uint64(0x7FFFFFFFFFFFFFFF)) < uint64(0x7FF0000000000000):
        x = 3.0e38
    elif x < -3.0e38 and (uint64(bits) & uint64(0x7FFFFFFFFFFFFFFF)) < uint64(0x7FF0000000000000):
        x = -3.0e38
    return uint32(float32(x).view(uint32)) >> uint32(16)


def build(name: str) -> Any:
    """Compiles a kernel: a numba dispatcher. Takes seconds.

    Args:
        name: The label of an element type; of F32, F64 or BF16 with ``-pairs`` behind it.
    """
    if name == "BF16":
        return _narrow(uint16, 16, 16, 1.0, 0x7F80)
    if name == "F16":
        return _narrow(uint16, 16, 13, 2.0**112, 0x7C00)
    if name == "F8_E5M2":
        return _narrow(uint8, 8, 21, 2.0**112, 0x7C)
    if name == "F8_E4M3":
        return _narrow(uint8, 8, 20, 2.0**120, 0x7F)
    if name == "F32":
        return _wide(uint32, int32, float32, 0x7F800000, _cell32)
    if name == "F64":
        return _wide(uint64, int64, float64, 0x7FF0000000000000, _cell64)
    return _compile_pairs(*_PAIRS[name])


@_inline
def _value16(bits: Any) -> Any:
    return uint32(uint32(bits) << uint32(16)).view(float32)


@_inline
def _finite16(bits: Any) -> bool:
    return (bits & uint16(0x7FFF)) < uint16(0x7F80)


@_inline
def _value32(bits: Any) -> Any:
    return uint32(bits).view(float32)


@_inline
def _finite32(bits: Any) -> bool:
    return (bits & uint32(0x7FFFFFFF)) < uint32(0x7F800000)


@_inline
def _value64(bits: Any) -> Any:
    return uint64(bits).view(float64)


@_inline
def _finite64(bits: Any) -> bool:
    return (bits & uint64(0x7FFFFFFFFFFFFFFF)) < uint64(0x7FF0000000000000)


_PAIRS = {
    "BF16-pairs": (uint16, _value16, _finite16),
    "F32-pairs": (uint32, _value32, _finite32),
    "F64-pairs": (uint64, _value64, _finite64),
}
