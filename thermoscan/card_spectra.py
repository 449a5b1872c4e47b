"""What a card says of the spectra of its layers (docs/spectra.md).

A spectrum is the eigenvalues λ of W Wᵀ, where W is a layer's matrix with its smaller side first: M
squared singular values, in squared weight units. N is the larger side. Field names are those of
WeightWatcher where a field is the same quantity. Every value that is None has its reason under the
same name in `reasons` of the same object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_SPECTRA = "spectra were not asked for"
"""Why a card, or a layer, has no `spectra`."""


@dataclass(frozen=True)
class PowerLaw:
    """The tail of a spectrum as a power law, density ∝ λ^-alpha from `xmin` on.

    Attributes:
        alpha: Exponent, by maximum likelihood.
        sigma: Its standard error, ``(alpha - 1) / √n`` over the n values of the tail.
        distance: Kolmogorov-Smirnov distance D between the tail and the fit; `xmin` makes it least.
        xmin: Where the tail begins: one of the eigenvalues.
        xmax: The largest eigenvalue.
        spikes: Eigenvalues from `xmin` on.
        alpha_weighted: ``alpha · log10 λ_max``.
        log_alpha_norm: ``log10 Σ λ^alpha``.
    """

    alpha: float
    sigma: float
    distance: float
    xmin: float
    xmax: float
    spikes: int
    alpha_weighted: float
    log_alpha_norm: float


@dataclass(frozen=True)
class TruncatedPowerLaw:
    """The same tail as a power law that is cut off, density ∝ λ^-alpha · e^(-rate λ).

    Attributes:
        alpha: Exponent, by maximum likelihood over the tail of the power law.
        rate: Of the cut-off, per squared weight unit; 0 where none is better.
        log_likelihood_ratio: Log-likelihood of it over that of the power law, nats; never below 0.
        p_value: Probability that a power law alone gives as great a ratio, by the chi-square law.
    """

    alpha: float
    rate: float
    log_likelihood_ratio: float
    p_value: float


@dataclass(frozen=True)
class Bulk:
    """The Marchenko-Pastur distribution that fits the bulk of a spectrum.

    N and M are here without the rows and columns that outliers take, and without zeros.

    Attributes:
        temperature: Variance per entry of the random matrix that has this bulk, squared weight
            units: the temperature that the layer would have without what stands out.
        edge_low: Lower edge, ``temperature · (√N - √M)²``.
        edge_high: Upper edge, ``temperature · (√N + √M)²``.
        soft_rank: ``edge_high / λ_max``.
        ordered_fraction: Share of the energy ``Σ λ`` that the outliers hold.
        outliers: Eigenvalues that lie above the edge by more than Tracy-Widom fluctuation.
        outliers_low: As many at least, by the errors of the fit and of the edge.
        outliers_high: As many at most.
        distance: Kolmogorov-Smirnov distance between the other eigenvalues and the fit.
    """

    temperature: float
    edge_low: float
    edge_high: float
    soft_rank: float
    ordered_fraction: float
    outliers: int
    outliers_low: int
    outliers_high: int
    distance: float


@dataclass(frozen=True)
class SpectralNull:
    """What the spectrum would be, were the matrix Gaussian at the layer's temperature and shape.

    Attributes:
        edge_low: Lower edge of its bulk.
        edge_high: Upper edge of its bulk.
        largest: Its largest eigenvalue: the mean of the Tracy-Widom law.
        largest_error: The standard deviation of that law.
        excess: ``(λ_max - largest) / largest_error``.
        spectral_entropy: Its spectral entropy, nats.
        effective_rank: Its effective rank.
        distance: Kolmogorov-Smirnov distance between the spectrum and this null.
        trap: The eigenvalue that the largest entry makes by itself, wherever it stands; None where
            it makes none beyond the bulk.
    """

    edge_low: float
    edge_high: float
    largest: float
    largest_error: float
    excess: float
    spectral_entropy: float
    effective_rank: float
    distance: float
    trap: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ShuffledSpectrum:
    """The spectrum of the same entries in random places.

    Attributes:
        seed: Of the shuffling.
        largest: Its largest eigenvalue.
        outliers: Of its eigenvalues, those beyond the bulk: correlation traps.
        soft_rank: Its largest eigenvalue over that of the layer.
        distance: Jensen-Shannon distance between both lists of eigenvalues, each over its sum.
    """

    seed: int
    largest: float
    outliers: int
    soft_rank: float
    distance: float


@dataclass(frozen=True)
class SpectralChange:
    """A spectrum beside that of the same layer of the base checkpoint.

    Attributes:
        distance: ``√Σ(s₁ - s₀)² / √Σs₀²`` over the singular values in order: what of
            ``|w₁ - w₀| / |w₀|`` is not a rotation; never above it.
        jensen_shannon: Jensen-Shannon distance between both lists of eigenvalues, each over its
            sum.
        alignment: ``|W₁ᵀW₀| / √(|W₁ᵀW₁| |W₀W₀ᵀ|)``, Frobenius norms: the uncentred CKA as
            WeightWatcher computes it.
        alpha: Change of `PowerLaw.alpha`.
        stable_rank: Change of the stable rank.
        effective_rank: Change of the effective rank.
    """

    distance: float | None
    jensen_shannon: float | None
    alignment: float | None
    alpha: float | None
    stable_rank: float | None
    effective_rank: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues of one matrix, or of several together, and what they say.

    Attributes:
        rows: N, the larger side.
        columns: M, the smaller side; after sampling where `sampled` is not None.
        matrices: How many matrices' eigenvalues these are: 1, or the places of a kernel.
        num_evals: Eigenvalues in all, zeros included.
        sampled: The smaller side before sampling; None where nothing was sampled.
        norm: ``Σ λ``, the squared Frobenius norm.
        log_norm: Its decimal logarithm.
        spectral_norm: λ_max, the squared spectral norm.
        log_spectral_norm: Its decimal logarithm.
        stable_rank: ``Σ λ / λ_max``.
        matrix_rank: Eigenvalues that are told from zero.
        rank_loss: The others.
        weak_rank_loss: Eigenvalues below 10⁻⁶.
        sv_max: The largest singular value.
        sv_min: The smallest singular value; of several matrices the largest of these.
        spectral_entropy: ``-Σ p ln p`` of ``p = λ / Σ λ``, nats.
        effective_rank: Its exponential.
        entropy: The spectral entropy over the logarithm of the rank, between 0 and 1.
        detx_num: The fewest of the largest eigenvalues whose product, each over the mean of all, is
            below 1: the tail that WeightWatcher's ERG condition (a determinant of 1) picks.
        detx_val: The least of these eigenvalues.
        tail: The power law; None where none could be fitted.
        truncated: The truncated power law of the same tail.
        bulk: The Marchenko-Pastur fit.
        null: What a random matrix would show.
        shuffled: The same entries in random places; None where that was not asked for.
        change: Beside the base checkpoint; None where there is none.
    """

    rows: int
    columns: int
    matrices: int
    num_evals: int
    sampled: int | None
    norm: float
    log_norm: float | None
    spectral_norm: float
    log_spectral_norm: float | None
    stable_rank: float | None
    matrix_rank: int
    rank_loss: int
    weak_rank_loss: int
    sv_max: float
    sv_min: float
    spectral_entropy: float | None
    effective_rank: float | None
    entropy: float | None
    detx_num: int | None
    detx_val: float | None
    tail: PowerLaw | None
    truncated: TruncatedPowerLaw | None
    bulk: Bulk | None
    null: SpectralNull | None
    shuffled: ShuffledSpectrum | None
    change: SpectralChange | None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerSpectra:
    """The spectra of one layer.

    Attributes:
        matrix: Of its matrix, outputs by inputs.
        slices: Of a convolution, outputs by in-channels, one matrix for each place of the kernel,
            all eigenvalues together and halved, as WeightWatcher has them; None for other layers.
    """

    matrix: Spectrum | None
    slices: Spectrum | None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def counted(self) -> Spectrum | None:
        """The one that stands for the layer in `SpectraSummary`, tables and pictures."""
        return self.slices or self.matrix


@dataclass(frozen=True)
class SpectraSummary:
    """The spectra of a model together: plain means over its layers, as WeightWatcher takes them.

    A convolution counts by its slices. What a layer has not is in no mean, and a spectrum of fewer
    than eight eigenvalues in none, as in WeightWatcher's.

    Attributes:
        max_side: The largest smaller side that was taken whole.
        spectra: Layers that have a spectrum.
        fits: Layers that have a power law.
        sampled: Layers whose smaller side was sampled.
        alpha: Mean of the power laws' exponents.
        alpha_weighted: Mean of ``alpha · log10 λ_max``.
        log_alpha_norm: Mean of ``log10 Σ λ^alpha``.
        log_norm: Mean of ``log10 Σ λ``.
        log_spectral_norm: Mean of ``log10 λ_max``.
        stable_rank: Mean.
        soft_rank: Mean of the bulks' soft ranks.
        ordered_fraction: Energy of the outliers over the energy, of all layers together.
        outliers: Eigenvalues above the bulks, of all layers.
    """

    max_side: int
    spectra: int
    fits: int
    sampled: int
    alpha: float | None
    alpha_weighted: float | None
    log_alpha_norm: float | None
    log_norm: float | None
    log_spectral_norm: float | None
    stable_rank: float | None
    soft_rank: float | None
    ordered_fraction: float | None
    outliers: int
    reasons: Mapping[str, str] = field(default_factory=dict)
