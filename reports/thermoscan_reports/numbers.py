"""Numbers as a person reads them: three significant digits, and units of a thousand.

The script of the HTML page shows numbers by the same rule as `shown`; a test in a browser holds the
two together.
"""

from __future__ import annotations

NULL = "–"


def shown(value: float | None) -> str:
    """Returns `value` with three significant digits, a dash for None.

    >>> [shown(x) for x in (0.17428, 2.6, 1234.5, -0.00155, 3.2e-9, 0.0, None)]
    ['0.174', '2.60', '1230', '-0.00155', '3.20e-9', '0.00', '–']
    """
    if value is None:
        return NULL
    mantissa, exponent = f"{value:.2e}".split("e")
    power = int(exponent)
    if power < -4 or power >= 6:
        return f"{mantissa}e{power:+d}"
    if power >= 3:
        return f"{float(f'{value:.2e}'):.0f}"
    return f"{value:.{2 - power}f}"


def percent(share: float | None) -> str:
    """Returns a share of one as a percentage, a dash for None.

    >>> percent(0.1744), percent(1.0), percent(None)
    ('17.4 %', '100 %', '–')
    """
    if share is None:
        return NULL
    return f"{f'{100 * share:.1f}'.removesuffix('.0')} %"


def scaled(value: int, unit: str = "") -> str:
    """Returns a count in units of a thousand, a million, and so on.

    >>> scaled(22713216), scaled(90888945, "B"), scaled(384)
    ('22.7 M', '90.9 MB', '384')
    """
    size, prefixes = float(value), ["T", "G", "M", "k", ""]
    while abs(size) >= 999.5 and len(prefixes) > 1:
        size /= 1000
        prefixes.pop()
    prefix = prefixes[-1]
    digits = f"{size:.0f}" if not prefix or size >= 99.95 else f"{size:.1f}"
    return f"{digits} {prefix}{unit}".rstrip()
