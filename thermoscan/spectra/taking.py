"""Takes the spectra of every layer of a measured checkpoint: several matrices at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from threadpoolctl import threadpool_limits

from thermoscan.card_spectra import LayerSpectra, Spectrum
from thermoscan.checkpoint import ByteReader
from thermoscan.options import SpectraOptions
from thermoscan.reasons import Reasons
from thermoscan.scanner.measurement import Measurement
from thermoscan.spectra.comparing import (
    IN_BASE,
    NOT_FINITE,
    Base,
    Seen,
    Stored,
    overlaps_of,
    spectral_change,
)
from thermoscan.spectra.describing import Shuffled, spectrum_of
from thermoscan.spectra.gram import Eigenvalues, Gram, Shape, eigenvalues, gram_of
from thermoscan.spectra.matrices import Matrix, all_matrices
from thermoscan.spectra.shuffling import shuffled_eigenvalues
from thermoscan.spectra.summary import summary_of
from thermoscan.theory.entropy import IntArray
from thermoscan.theory.no_fit import NoFit

SLICES_SCALE = 0.5
"""By which WeightWatcher multiplies the eigenvalues of a convolution's slices."""

NO_KERNEL = "it is no convolution"

_LOCKING_ROWS = 500
"""Up to so many rows in all, numpy keeps Python's lock while LAPACK is at work."""

Progress = Callable[[float], None]
"""Called with the share of the work that is done."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A matrix, or the slices of its kernel, to take the spectrum of; `work` in operations."""

    matrix: Matrix
    sliced: bool
    shape: Shape
    work: float

    @classmethod
    def of(cls, matrix: Matrix, sliced: bool, options: SpectraOptions) -> _Job:
        """Returns the job of a matrix."""
        shape = Shape.of(matrix, sliced)
        return cls(matrix, sliced, shape, shape.work(options.max_side))

    @property
    def scale(self) -> float:
        """What its eigenvalues are multiplied by."""
        return SLICES_SCALE if self.sliced else 1.0


def take_spectra(
    measurement: Measurement,
    options: SpectraOptions,
    workers: int,
    progress: Progress,
    base: Base | None = None,
) -> Measurement:
    """Returns the measurement with the spectra of its layers.

    Reads every layer once more, and a convolution twice; beside a base, both of them up to twice
    that. Holds for each worker two or three square matrices of the smaller side, in float64; beside
    a base, two more.

    Args:
        measurement: Of every byte of a checkpoint whose reader is open.
        options: How to take spectra.
        workers: Threads; each takes a matrix by itself.
        progress: Called from the calling thread.
        base: What the spectra are compared with; None for nothing.

    Raises:
        ChangedError: The checkpoint was cut short or replaced meanwhile.
    """
    found: dict[tuple[str, bool], Spectrum | NoFit] = {}
    jobs: list[_Job] = []
    for job in _jobs(measurement, options):
        if (refused := job.shape.refused(options.max_side)) is None:
            jobs.append(job)
        else:
            found[job.matrix.layer, job.sliced] = refused
    jobs.sort(key=lambda job: -job.work)
    total, done = sum(job.work for job in jobs), 0.0
    reader = measurement.checkpoint.reader
    # A matrix for each worker, and a core for each matrix: one BLAS thread each.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        try:
            batches = list(_batches(jobs))
            results = pool.map(lambda batch: _spectra(batch, reader, options, base), batches)
            for batch, spectra in zip(batches, results, strict=True):
                for job, spectrum in zip(batch, spectra, strict=True):
                    found[job.matrix.layer, job.sliced] = spectrum
                    done += job.work
                progress(done / total)
        finally:
            pool.shutdown(cancel_futures=True)
    layers = tuple(
        replace(each, spectra=_layer(each.layer.name, found)) for each in measurement.layers
    )
    summary = summary_of([each.spectra for each in layers if each.spectra], options.max_side)
    return replace(measurement, layers=layers, spectra=summary)


def _jobs(measurement: Measurement, options: SpectraOptions) -> Iterator[_Job]:
    tensors = {each.tensor.name: each.tensor for each in measurement.layers}
    for matrix in all_matrices((each.layer for each in measurement.layers), tensors):
        yield _Job.of(matrix, False, options)
        if matrix.places is not None:
            yield _Job.of(matrix, True, options)


def _batches(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    """Puts neighbours of one smaller side together until LAPACK keeps no other thread waiting."""
    for side, neighbours in groupby(jobs, key=lambda job: job.shape.columns):
        batch: list[_Job] = []
        for job in neighbours:
            batch.append(job)
            if side * sum(each.shape.matrices for each in batch) > _LOCKING_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch


def _spectra(
    batch: Sequence[_Job], reader: ByteReader, options: SpectraOptions, base: Base | None
) -> list[Spectrum | NoFit]:
    grams = [gram_of(job.matrix, reader, job.shape, _chosen(job, options)) for job in batch]
    spectra: list[Spectrum | NoFit] = []
    for job, gram, each in zip(batch, grams, eigenvalues(grams), strict=True):
        if isinstance(each, NoFit):
            spectra.append(each)
            continue
        spectrum = _spectrum(job, each, reader, options)
        if base is not None:
            now = Seen(spectrum, each.values)
            spectrum = _beside(job, Stored(job.matrix, reader), gram, now, base, options)
        spectra.append(spectrum)
    return spectra


def _spectrum(
    job: _Job, found: Eigenvalues, reader: ByteReader, options: SpectraOptions
) -> Spectrum:
    shuffled = None
    if options.shuffle:
        chosen, random = _chosen(job, options), _random(job, options)
        values = shuffled_eigenvalues(job.matrix, reader, job.shape, chosen, random)
        shuffled = Shuffled(values * job.scale, options.seed)
    return spectrum_of(found.scaled(job.scale), shuffled)


def _beside(
    job: _Job, own: Stored, gram: Gram, now: Seen, base: Base, options: SpectraOptions
) -> Spectrum:
    """Returns the spectrum with its change since the base's, or the reason that it has none."""
    other, chosen = base.beside(job.matrix), _chosen(job, options)
    if isinstance(other, str):
        return _unchanged(now.spectrum, other)
    before = gram_of(other.matrix, other.reader, job.shape, chosen)
    (found,) = eigenvalues([before])
    if isinstance(found, NoFit):
        return _unchanged(now.spectrum, IN_BASE + found.reason)
    if gram.non_finite or before.non_finite:
        return _unchanged(now.spectrum, NOT_FINITE)
    overlaps = overlaps_of((own, other), (gram, before), job.shape, chosen, sliced=job.sliced)
    then = Seen(spectrum_of(found.scaled(job.scale)), found.values)
    reasons = {key: value for key, value in now.spectrum.reasons.items() if key != "change"}
    return replace(now.spectrum, change=spectral_change(now, then, overlaps), reasons=reasons)


def _unchanged(spectrum: Spectrum, reason: str) -> Spectrum:
    return replace(spectrum, reasons={**spectrum.reasons, "change": reason})


def _chosen(job: _Job, options: SpectraOptions) -> IntArray | None:
    """Which of the smaller side to take; None where that is short enough."""
    side = job.shape.columns
    if side <= options.max_side:
        return None
    return np.sort(_random(job, options).choice(side, options.max_side, replace=False))


def _random(job: _Job, options: SpectraOptions) -> np.random.Generator:
    """Draws what it draws whatever the other layers are, and the order in which they are taken."""
    name = job.matrix.layer.encode("utf-8", "surrogatepass")
    return np.random.default_rng([options.seed, zlib.crc32(name), job.sliced])


def _layer(name: str, found: dict[tuple[str, bool], Spectrum | NoFit]) -> LayerSpectra:
    reasons = Reasons()

    def given(key: str, spectrum: Spectrum | NoFit | None) -> Spectrum | None:
        if isinstance(spectrum, Spectrum):
            return spectrum
        reasons[key] = NO_KERNEL if spectrum is None else spectrum.reason
        return None

    return LayerSpectra(
        matrix=given("matrix", found[name, False]),
        slices=given("slices", found.get((name, True))),
        reasons=reasons,
    )
