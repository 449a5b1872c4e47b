"""What WeightWatcher's own Python runs, with the arguments ``JOBS ANSWERS [--without-torch]``.

JOBS is JSON, a list of `studies.weightwatcher.Job`; ANSWERS is written as JSON, an answer for each
in the same order. It imports nothing of ours, for its environment has nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any, cast

Details = dict[str, Any]


def main(jobs: Path, answers: Path) -> None:
    """Does every job; what WeightWatcher raises is the answer of a job that fails."""
    warnings.simplefilter("ignore")
    found = [_answer(each) for each in json.loads(jobs.read_text())]
    answers.write_text(json.dumps(found, default=_plain))


def _answer(job: Details) -> Details:
    try:
        models = [_model(Path(each), job["given"]) for each in job["models"]]
        return _CALLS[job["call"]](models, job["options"])
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


def _watcher(**model: Any) -> Any:
    return importlib.import_module("weightwatcher").WeightWatcher(**model)


def _analysis(models: list[Any], options: Details) -> Details:
    watcher = _watcher(model=models[0])
    details = watcher.analyze(**options)
    return {"rows": details.to_dict("records"), "summary": watcher.get_summary(details)}


def _distances(models: list[Any], options: Details) -> Details:
    *_, details = _watcher().distances(*models, **options)
    return {"rows": details.reset_index().to_dict("records")}


def _eigenvalues(models: list[Any], options: Details) -> Details:
    return {"rows": [{"eigenvalue": each} for each in _watcher(model=models[0]).get_ESD(**options)]}


_CALLS = {"analyze": _analysis, "distances": _distances, "get_ESD": _eigenvalues}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    if "--without-torch" in sys.argv:
        sys.modules["torch"] = cast(Any, None)  # an import of it fails, as where it is missing
    main(Path(sys.argv[1]), Path(sys.argv[2]))
