"""WeightWatcher's summary of every checkpoint, computed in the environment that make gives it.

One process for all of them: its import alone takes seconds.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PYTHON = Path(__file__).parents[1] / ".venv-rivals" / "weightwatcher" / "bin" / "python"

#: It wants modules, and of a network only the layers that carry matrices.
_SCRIPT = """
import json, sys, warnings
import torch, weightwatcher
from safetensors.torch import load_file
warnings.simplefilter("ignore")
torch.set_num_threads(1)
summaries = []
for path in json.load(open(sys.argv[1])):
    layers = []
    for weight in load_file(path).values():
        if weight.ndim == 2:
            layers.append(torch.nn.Linear(*weight.shape[::-1], bias=False))
        elif weight.ndim == 4:
            layers.append(torch.nn.Conv2d(*weight.shape[1::-1], weight.shape[2:], bias=False))
        else:
            continue
        layers[-1].weight.data = weight
    watcher = weightwatcher.WeightWatcher(model=torch.nn.Sequential(*layers))
    summary = watcher.get_summary(watcher.analyze())
    summaries.append({name: float(value) for name, value in summary.items()})
json.dump(summaries, open(sys.argv[2], "w"))
"""


def installed() -> bool:
    """Says whether WeightWatcher's environment is there."""
    return _PYTHON.exists()


def summaries(checkpoints: Sequence[Path]) -> list[dict[str, float]]:
    """Returns, for every checkpoint, WeightWatcher's means over layers by its own names.

    Args:
        checkpoints: Safetensors files whose matrices belong to linear layers and convolutions.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "paths.json"), Path(folder, "summaries.json")
        asked.write_text(json.dumps([str(each) for each in checkpoints]))
        command = [str(_PYTHON), "-c", _SCRIPT, str(asked), str(answered)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own script
        found: list[dict[str, float]] = json.loads(answered.read_text())
    return found
