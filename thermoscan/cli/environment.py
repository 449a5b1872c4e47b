"""Variables of the environment that huggingface_hub reads, and this command with it.

Read here by the same rules, because most commands never load huggingface_hub.
"""

from __future__ import annotations

import os

NO_PROGRESS = "HF_HUB_DISABLE_PROGRESS_BARS"
DEBUG = "HF_DEBUG"

_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


def is_set(name: str) -> bool:
    """Says whether a variable holds what huggingface_hub takes for true."""
    return os.environ.get(name, "").upper() in _TRUE
