"""The one pass over a checkpoint's bytes: what is counted, how it is cut, and how fast.

::

    record       what a pass yields for a layer
    geometry     a tensor and its layers cut into pieces that a kernel can walk
    layout       reading in the order of memory, gaps left out
    stream       jobs, threads, digests: every byte once
    side_by_side the same over two checkpoints, tensor by tensor
    pairing      sums over pairs of entries; sketch: the rank of their difference
    kernels      the inner loops, compiled by numba; native keeps and loads their object code
    reference    the same in numpy: the definition that tests hold the kernels to
    accumulate   the arrays that both write to
    cells        patterns of bits as intervals of the real line
    witness      narrower types that would do, and few distinct values
    finish       from sums to a record
"""
