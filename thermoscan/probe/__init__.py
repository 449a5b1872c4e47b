"""The same quantities measured with data: a model is run, and watched (theory section 5).

::

    road                  the road of `thermoscan probe`: a scan, and the same model run
    subject               what is asked of those who load models and read data (adapters)
    matching              finds the layers of a checkpoint in the model that was loaded from it
    places                where the layers of an anatomy are in a running model
    virial                temperatures: (1/d) Σ w ∂L/∂w
    functions, origin     what is an activation; which layer its input comes from
    watch, heat           heat and work of every unit, from what goes in and comes out
    measure, reading      one run over batches, and what it gives
    card                  what was measured, written into the card

`thermoscan.probe.road.probe` is to a run what `thermoscan.scanner.scan` is to a scan. What it
measures with takes any `torch.nn.Module`:

>>> import torch
>>> from thermoscan.probe.measure import Loss, measure
>>> from thermoscan.probe.places import places_of
>>> _ = torch.manual_seed(0)
>>> model = torch.nn.Sequential(
...     torch.nn.Linear(8, 32, bias=False), torch.nn.ReLU(), torch.nn.Linear(32, 3, bias=False)
... ).eval()
>>> def cross_entropy(model, batch):
...     logits = model(batch["x"])
...     total = torch.nn.functional.cross_entropy(logits, batch["y"], reduction="sum")
...     return Loss(total, len(logits))
>>> batches = [{"x": torch.randn(64, 8), "y": torch.randint(3, (64,))}]
>>> reading = measure(model, places_of(model), batches, cross_entropy)
>>> first, last = reading.layers.values()
>>> round(first.parameters * first.temperature / (last.parameters * last.temperature), 4)
1.0
>>> first.stroke.functions, round(first.stroke.efficiency, 1)
(('relu',), 0.6)
>>> reading.loss > 0, reading.temperature == sum(
...     each.parameters * each.temperature for each in (first, last)
... ) / (8 * 32 + 32 * 3)
(True, True)

Nothing here is imported by a scan: torch is needed to run a model, not to read one.
"""
