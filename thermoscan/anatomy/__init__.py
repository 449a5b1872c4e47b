"""What each tensor of a checkpoint is: role, parts, and what stands before and behind it.

::

    names, census           a tensor's name taken apart; an index over all tensors
    rules                   which word means which role (data)
    families                what a configuration says of its model
    catalogue, conventions  the model types that are known, and what there is to know of one (data)
    diffusion               the classes of diffusers that are known (data)
    flows, draws            orders of norms and layers in a block; special initialisations (data)
    auxiliary, packed       norms, biases, buffers; quantised weights and their scales
    roles, tying            what a matrix does; which of them is another once more
    recurrent, slicing      the matrices that one tensor holds
    mixtures                which of them are experts of one mixture
    normalisation, firing   the norm that feeds a layer; the activation that follows it
    beginnings              how a weight was drawn
    building, order, notes  the finished layers, in the order of the model, with what was assumed
    dissection, components  the whole road, for one model and for a checkpoint of several

The values it gives are in `thermoscan.anatomy.model`.
"""

from thermoscan.anatomy.components import anatomy_of
from thermoscan.anatomy.dissection import Assumptions, dissect
from thermoscan.anatomy.model import Anatomy, Layer, NotAnalysed, Recorded, Role

__all__ = [
    "Anatomy",
    "Assumptions",
    "Layer",
    "NotAnalysed",
    "Recorded",
    "Role",
    "anatomy_of",
    "dissect",
]
