"""Many models at once: from a folder, a list or a query of the hub to cards and a catalogue.

::

    collection -> candidates -> tasks -> executor -> results -> cards, catalogue, index

A task is one model; what it does (`worker`) is the one road of `thermoscan.scanner`, in a process
of its own. Executors, of this machine (`pool`) or of a Dask cluster (`cluster`), run the same tasks
by the same code. What a result is worth again is told by its key (`keys`): what identifies the
content, the options, the version of the scanner.
"""
