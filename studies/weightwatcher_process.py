"""What WeightWatcher's own Python runs: ``python weightwatcher_process.py JOBS ANSWERS``.

JOBS is JSON, a list of `studies.weightwatcher.Job`; ANSWERS is written as JSON, an answer for each
in the same order. It imports nothing of ours, for its environment has nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

Details = dict[str, Any]


def main(jobs: Path, answers: Path) -> None:
    """Does every job; what WeightWatcher raises is the answer of a job that fails."""
    warnings.simplefilter("ignore")
    found = [_answer(each) for each in json.loads(jobs.read_text())]
    answers.write_text(json.dumps(found, default=_plain))


def _answer(job: Details) -> Details:
    try:
        models = [_model(Path(each), job["given"]) for each in job["models"]]
        return _distances(models, job) if len(models) > 1 else _analysis(models[0], job)
    except Exception as error:  # whatever it raises is what is asked for
        return {"error": type(error).__name__, "message": str(error)}


def _model(path: Path, given: str) -> Any:
    """The model as its documentation says to hand it over: its path, a state dict, or modules."""
    if given == "path":
        return str(path)
    torch = importlib.import_module("torch")
    if path.suffix == ".safetensors":
        state = importlib.import_module("safetensors.torch").load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    return torch.nn.ModuleList([_lstm(torch, state)]) if given == "lstm" else state


def _lstm(torch: Any, state: Details) -> Any:
    size, inputs = state["weight_ih_l0"].shape
    module = torch.nn.LSTM(inputs, size // 4)
    module.load_state_dict(state)
    return module


def _analysis(model: Any, job: Details) -> Details:
    watcher = importlib.import_module("weightwatcher").WeightWatcher(model=model)
    details = watcher.analyze(**job["options"])
    return {"rows": details.to_dict("records"), "summary": watcher.get_summary(details)}


def _distances(models: list[Any], job: Details) -> Details:
    watcher = importlib.import_module("weightwatcher").WeightWatcher()
    *_, details = watcher.distances(*models, **job["options"])
    return {"rows": details.reset_index().to_dict("records"), "summary": {}}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
