"""The spectra of a checkpoint's matrices (docs/spectra.md).

::

    layer -> Matrix -> blocks -> Gram matrix -> eigenvalues -> Spectrum

`matrices` tells where a layer's matrix lies and reads it in blocks, `gram` adds the blocks up,
`describing` makes a card's record of the eigenvalues, and `taking` does all of it for a model.
`one_layer` gives the eigenvalues themselves.
"""

from __future__ import annotations

from thermoscan.spectra.one_layer import eigenvalues_of
from thermoscan.spectra.taking import take_spectra

__all__ = ["eigenvalues_of", "take_spectra"]
