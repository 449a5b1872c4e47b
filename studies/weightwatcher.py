"""What WeightWatcher says of checkpoints, computed in the environment that make gives it.

One process for all of them: its import alone takes seconds. Run as a command, it prints the details
of the checkpoints that are named, as JSON: ``python -m studies.weightwatcher PATH ...``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import studies.weightwatcher_process as process

_PYTHON = Path(__file__).parents[1] / ".venv-rivals" / "weightwatcher" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Job:
    """One call of WeightWatcher.

    Attributes:
        models: One path, two for `distances`.
        call: ``"analyze"``, ``"distances"`` or ``"get_ESD"``.
        given: How it gets them: ``"state dict"`` as torch or safetensors load it, ``"path"``, or
            ``"lstm"``, a module with these weights.
        options: Of the call.
    """

    models: tuple[str, ...]
    call: str = "analyze"
    given: str = "state dict"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What it answered.

    Attributes:
        rows: Of its data frame, by column; of `get_ESD` one for every eigenvalue.
        summary: Means over the rows of `analyze`.
        error: Name of the exception that it raised, if it did.
        message: What that said.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    summary: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    message: str = ""


def installed() -> bool:
    """Says whether WeightWatcher's environment is there."""
    return _PYTHON.exists()


def ask(jobs: Sequence[Job], *, without_torch: bool = False) -> list[Answer]:
    """Returns WeightWatcher's answers.

    Args:
        jobs: What to ask, in one process.
        without_torch: Whether torch is out of its reach.

    Raises:
        subprocess.CalledProcessError: The process itself failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "jobs.json"), Path(folder, "answers.json")
        asked.write_text(json.dumps([asdict(each) for each in jobs]))
        # Isolated: this module beside the script has the name of the package that it imports.
        command = [str(_PYTHON), "-I", process.__file__, str(asked), str(answered)]
        command += ["--without-torch"] if without_torch else []
        # One thread: its matrices are small, and threads that wait for each other take its time.
        alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run(command, check=True, capture_output=True, env=alone)  # noqa: S603 - our own
        return [Answer(**each) for each in json.loads(answered.read_text())]


def summaries(checkpoints: Sequence[Path]) -> list[Mapping[str, float]]:
    """Returns, for every checkpoint, WeightWatcher's means over layers by its own names.

    Args:
        checkpoints: Safetensors files whose matrices belong to linear layers and convolutions.

    Raises:
        RuntimeError: It failed.
    """
    answers = ask([Job((str(path),)) for path in checkpoints])
    for path, answer in zip(checkpoints, answers, strict=True):
        if answer.error is not None:
            raise RuntimeError(f"WeightWatcher on {path.name}: {answer.error}: {answer.message}")
    return [each.summary for each in answers]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the details of checkpoints: a list with an object for each."""
    parser = argparse.ArgumentParser(prog="python -m studies.weightwatcher")
    parser.add_argument("paths", nargs="+", metavar="PATH")
    parser.add_argument("--options", type=json.loads, default={}, help="of analyze, as JSON")
    options = parser.parse_args(arguments)
    jobs = [Job((path,), options=options.options) for path in options.paths]
    print(json.dumps([asdict(each) for each in ask(jobs)], indent=1))


if __name__ == "__main__":
    main()
