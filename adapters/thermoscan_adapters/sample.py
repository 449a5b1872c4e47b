"""The reference data: what a model is run on when the user gives none, and compared with when so.

The texts (``sample.txt``) and the pictures were made for this purpose and are part of this package.
They are no benchmark; they are the same for everybody.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from thermoscan.probe.subject import Examples

_PICTURES = 32
_SIDE = 224


def sample_texts() -> Examples:
    """Returns the sample of short texts in several languages and scripts, with code and numbers."""
    content = files("thermoscan_adapters").joinpath("sample.txt").read_text(encoding="utf-8")
    texts = tuple(part.strip() for part in content.split("\n\n") if part.strip())
    return Examples(f"thermoscan's sample of {len(texts)} short texts", texts=texts)


def synthetic_pictures(seed: int) -> Examples:
    """Returns pictures of smooth colour, stripes and discs, drawn from a seed.

    Their spectrum falls with the frequency as that of photographs does; they show nothing.
    """
    from PIL import Image  # noqa: PLC0415 - only needed here

    made = tuple(
        Image.fromarray(_picture(np.random.default_rng([seed, index])))
        for index in range(_PICTURES)
    )
    note = (
        f"The model was run on {_PICTURES} synthetic pictures: what it does with photographs may "
        "differ much."
    )
    return Examples(f"{_PICTURES} synthetic pictures", pictures=made, notes=(note,))


def _picture(generator: np.random.Generator) -> np.ndarray:
    """One picture, uint8 (side, side, 3)."""
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(_SIDE), np.fft.fftfreq(_SIDE)))
    amplitude = 1 / np.maximum(frequencies, 1 / _SIDE) ** 1.5
    noise = generator.standard_normal((3, _SIDE, _SIDE)) + 0j
    phases = np.exp(2j * np.pi * generator.random((3, _SIDE, _SIDE)))
    field = np.real(np.fft.ifft2(noise * phases * amplitude))
    field /= field.std(axis=(1, 2), keepdims=True)
    rows, columns = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    for _ in range(int(generator.integers(1, 4))):
        x, y, radius = generator.random(3) * (1, 1, 0.3)
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        field += inside * generator.standard_normal((3, 1, 1)) * 2
    angle, period = generator.random(2) * (np.pi, 0.2) + (0, 0.02)
    along = rows * np.sin(angle) + columns * np.cos(angle)
    field += 0.5 * np.sign(np.sin(2 * np.pi * along / period))
    return np.moveaxis(np.clip(128 + 50 * field, 0, 255).astype(np.uint8), 0, -1)
