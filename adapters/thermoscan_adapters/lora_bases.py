"""Which model an adapter changes, among models that were found.

Takes what ``base_model_name_or_path`` says in an ``adapter_config.json``, which is hostile text;
gives the source of a model that was found in the same place, and never anything else: no path out
of that place is looked at, and no hub is asked.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from thermoscan.batch.candidates import Candidate, LeftOut
from thermoscan.errors import CheckpointError, SourceError, SourceNotFoundError, ThermoscanError
from thermoscan.limits import Limits
from thermoscan.text import printable
from thermoscan_adapters import lora_config
from thermoscan_adapters.disk_folder import DiskFolder
from thermoscan_adapters.files import find_file, hub_id_of, hub_snapshot
from thermoscan_adapters.weight_sets import read_json

_LONGEST_REFERENCE = 256


@dataclass
class Bases:
    """The whole models that were found, as those an adapter may change.

    Attributes:
        aliases: What a path may begin with -> what is there: the place as it was written, where
            links lead to another.
    """

    aliases: dict[str, str] = field(default_factory=dict)
    _paths: set[str] = field(default_factory=set)
    _folders: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _snapshots: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, source: str) -> None:
        """Notes a model: the absolute path, without links, of its folder or file; or a hub id."""
        home, _, name = source.rpartition("/")
        if not source.startswith("/"):
            self._ids[source.partition("@")[0]].append(source)
            return
        self._paths.add(source)
        if home.endswith("/snapshots") and hub_snapshot(Path(source)) == Path(source):
            self._snapshots[hub_id_of(Path(source))].append(source)
        else:
            self._folders[name].append(source)

    def with_base(self, adapter: Candidate, root: Path) -> Candidate | LeftOut:
        """Returns an adapter with its base, or why it has none. See `of`."""
        try:
            return replace(adapter, base=self.of(Path(adapter.source), root))
        except SourceNotFoundError as error:
            return LeftOut(adapter.name, "skipped", error.code, error.reason)
        except (SourceError, CheckpointError) as error:
            return LeftOut(adapter.name, "refused", error.code, error.reason)

    def of(self, adapter: Path, root: Path) -> str:
        """Returns the source of the base of the adapter in a folder.

        Args:
            adapter: The folder that holds it.
            root: The place that was searched; relative paths are tried from there as well.

        Raises:
            SourceNotFoundError: ``base-not-found`` or ``base-ambiguous``.
            SourceError: Its configuration cannot be read.
            CheckpointError: Its configuration cannot be trusted.
        """
        folder = DiskFolder(adapter)
        document = read_json(folder, lora_config.FILE, "adapter-config", Limits())
        stated, revision = document.get("base_model_name_or_path"), document.get("revision")
        if not isinstance(stated, str) or not stated:
            reason = f"its {lora_config.FILE} does not say which model it changes"
            raise SourceNotFoundError("base-not-found", reason, file=adapter.name)
        at = self._at_path(stated, adapter, root)
        if at is not None:
            return at
        found = self._of_id(stated, revision if isinstance(revision, str) else "main")
        if len(found) == 1:
            return found[0]
        called = f"the model that it changes, '{printable(stated)}',"
        if found:
            reason = f"{called} is found {len(found)} times"
            raise SourceNotFoundError("base-ambiguous", reason, file=adapter.name)
        reason = f"{called} is not among those found here"
        raise SourceNotFoundError("base-not-found", reason, file=adapter.name)

    def _at_path(self, stated: str, adapter: Path, root: Path) -> str | None:
        """What was found at a path, which is only compared with paths of what was found."""
        for start in (adapter, root):
            path = os.path.normpath(PurePosixPath(start) / stated)
            if path in self._paths:
                return path
        path = os.path.normpath(stated)
        for alias, place in self.aliases.items():
            if path == alias or path.startswith(f"{alias}/"):
                path = f"{place}{path.removeprefix(alias)}"
                return path if path in self._paths else None
        return None

    def _of_id(self, id: str, revision: str) -> list[str]:
        """What was found of a hub's model: its snapshots, else folders, else the id itself."""
        snapshots = self._snapshots.get(id, [])
        if len(snapshots) > 1:
            wanted = [each for each in snapshots if _is_at(Path(each), revision)]
            snapshots = wanted or snapshots
        if snapshots:
            return snapshots
        parts = PurePosixPath(id).parts
        folders = [
            each
            for each in self._folders.get(PurePosixPath(id).name, ())
            if PurePosixPath(each).parts[-len(parts) :] == parts
        ]
        return folders or self._ids.get(id, [])


def _is_at(snapshot: Path, revision: str) -> bool:
    """Says whether a snapshot of a cache is what a revision was when it was last downloaded."""
    if snapshot.name == revision:
        return True
    try:
        reference = find_file(snapshot.parent.parent / "refs", revision)
        content = reference.read_at(0, min(reference.size, _LONGEST_REFERENCE))
    except ThermoscanError:
        return False
    return content.decode(errors="replace").strip() == snapshot.name
