"""How much memory this process may count on: the machine's, or its container's where that is less.

See https://docs.kernel.org/admin-guide/cgroup-v2.html, ``memory.max``.
"""

from __future__ import annotations

import os
from pathlib import Path

_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> int:
    """Returns the memory of the machine or container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(_CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or one without a bound ("max")
        return machine
