"""The theory as pure functions of plain numbers and arrays; docs/theory.md says whose it is.

::

    entropy                 differential and discrete entropy from a histogram (section 6)
    states                  temperature, order, transitions (section 3)
    initialisation          the distributions that weights start from (sections 1 and 3)
    activations, engine     the heat engine and its two types (section 4)
    linear                  linear systems on data: their states and transitions (sections 1, 2)
    linear_states           distributions of their parameters: at initialisation, of an ensemble
    linear_training         those of parameters trained to the minimum of a loss
    losses                  the losses, and their expectations under normal outputs (section 2)
    logistic, softmax       those of the cross-entropies, by one integral (section 2)
    outliers                what stands out among its peers, by median and MAD
    gaussian, quadrature    expectations under a normal pre-activation, exact and by rule
"""
