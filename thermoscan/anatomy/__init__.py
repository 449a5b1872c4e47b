"""What each tensor of a checkpoint is: role, parts, and what stands before and behind it.

::

    names, census           a tensor's name taken apart; an index over all tensors
    rules, families         which word means which role; what a configuration says (data)
    auxiliary, packed       norms, biases, buffers; quantised weights and their scales
    roles, tying            what a matrix does; which of them is another once more
    recurrent, slicing      the matrices that one tensor holds
    normalisation, firing   the norm that feeds a layer; the activation that follows it
    beginnings              how a weight was drawn
    building, order, notes  the finished layers, in the order of the model, with what was assumed

`dissect` is the whole road; the values it gives are in `thermoscan.anatomy.model`.
"""

from thermoscan.anatomy.dissection import Assumptions, dissect
from thermoscan.anatomy.model import Anatomy, Layer, NotAnalysed, Recorded, Role

__all__ = ["Anatomy", "Assumptions", "Layer", "NotAnalysed", "Recorded", "Role", "dissect"]
