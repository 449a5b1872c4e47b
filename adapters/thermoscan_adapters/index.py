"""The index of a sharded checkpoint: ``model.safetensors.index.json`` and its torch counterpart.

Takes an opened index, gives the shards that it names; later compares what it says with what the
shards hold. Refuses an index that is not strict JSON, whose ``weight_map`` does not map names to
names, that names more than ``Limits.shards`` shards or ``Limits.tensors`` tensors, or whose shards
are not plain relative names inside the folder. A wrong ``total_size`` is worth a note only: many
real ones are off by the size of tied tensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from thermoscan.errors import LimitError, MalformedError, UnsafeError
from thermoscan.limits import Limits
from thermoscan_adapters.folders import OpenFile, within
from thermoscan_adapters.strict_json import parse_object

_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says.

    Attributes:
        file: Its own name.
        weight_map: Tensor name -> path of the shard that holds it, from where the index's own
            name starts.
        total_size: Bytes of all tensors as it claims; None where it does not say.
    """

    file: str
    weight_map: Mapping[str, str]
    total_size: int | None

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of the shards, sorted."""
        return tuple(sorted(set(self.weight_map.values())))


def read_index(file: OpenFile, limits: Limits) -> Index:
    """Reads an index.

    Raises:
        MalformedError: ``index-weight-map``, or a code of `parse_object` with the prefix ``index``.
        LimitError: ``index-too-long``, ``index-too-many-tensors``, ``index-too-many-shards``.
        UnsafeError: ``index-shard-name``: a shard's name leads elsewhere.
    """
    if file.size > limits.index_bytes:
        reason = f"it has {file.size} bytes, more than the limit of {limits.index_bytes}"
        raise LimitError("index-too-long", reason, file=file.name)
    document = parse_object(file.read_at(0, file.size), limits, prefix="index", file=file.name)
    weight_map = document.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedError(
            "index-weight-map", "it has no weight_map with tensors", file=file.name
        )
    if not all(isinstance(shard, str) for shard in weight_map.values()):
        raise MalformedError(
            "index-weight-map", "its weight_map does not map to file names", file=file.name
        )
    _check_counts(weight_map, limits, file.name)
    for shard in set(weight_map.values()):
        check_relative_name(shard, file.name)
    home = file.name.rpartition("/")[0]
    shards = {tensor: within(home, shard) for tensor, shard in weight_map.items()}
    return Index(file.name, shards, _total_size(document.get("metadata")))


def is_plain_path(name: str) -> bool:
    """Says whether `name` is a relative path that stays inside its folder, on every system."""
    plain = name.isprintable() and "\\" not in name and not _DRIVE.match(name)
    return plain and not any(part in {"", ".", ".."} for part in name.split("/"))


def check_relative_name(name: str, named_by: str) -> None:
    """Makes sure that `name` is a relative path that stays inside its folder, on every system.

    Raises:
        UnsafeError: ``index-shard-name``.
    """
    if not is_plain_path(name):
        raise UnsafeError(
            "index-shard-name",
            f"it names the shard '{name}', which is not a plain relative name",
            file=named_by,
        )


def check_shards(index: Index, held: Mapping[str, Iterable[str]], nbytes: int) -> tuple[str, ...]:
    """Compares `index` with what its shards hold.

    Args:
        index: The index.
        held: Shard -> names of the tensors that it holds.
        nbytes: Bytes of all tensors together.

    Returns:
        Sentences for the card, on what is odd and harmless.

    Raises:
        MalformedError: ``index-tensor-twice``, ``index-tensor-missing``,
            ``index-tensor-elsewhere``.
    """
    homes: dict[str, str] = {}
    for shard, names in held.items():
        for name in names:
            if name in homes:
                reason = f"it is in {homes[name]} as well"
                raise MalformedError("index-tensor-twice", reason, file=shard, tensor=name)
            homes[name] = shard
    for name, shard in index.weight_map.items():
        if name not in homes:
            reason = f"{index.file} says that it is here, and it is not"
            raise MalformedError("index-tensor-missing", reason, file=shard, tensor=name)
        if homes[name] != shard:
            reason = f"{index.file} says that it is here, and it is in {homes[name]}"
            raise MalformedError("index-tensor-elsewhere", reason, file=shard, tensor=name)
    return tuple(_oddities(index, homes, nbytes))


def _oddities(index: Index, homes: Mapping[str, str], nbytes: int) -> Iterable[str]:
    unlisted = len(homes.keys() - index.weight_map.keys())
    if unlisted:
        yield f"{unlisted} tensors of the shards are not in {index.file}; they were scanned too."
    if index.total_size is not None and index.total_size != nbytes:
        yield f"{index.file} claims {index.total_size} bytes of tensors; there are {nbytes}."


def _check_counts(weight_map: Mapping[str, str], limits: Limits, file: str) -> None:
    if len(weight_map) > limits.tensors:
        reason = f"it names {len(weight_map)} tensors, more than the limit of {limits.tensors}"
        raise LimitError("index-too-many-tensors", reason, file=file)
    shards = len(set(weight_map.values()))
    if shards > limits.shards:
        reason = f"it names {shards} shards, more than the limit of {limits.shards}"
        raise LimitError("index-too-many-shards", reason, file=file)


def _total_size(metadata: object) -> int | None:
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return int(total) if isinstance(total, (int, float)) else None
