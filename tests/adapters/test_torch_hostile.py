"""Torch files made to deceive: each is refused with its own code, and nothing is run."""

from __future__ import annotations

import pickle
import struct
import tarfile
from pathlib import Path

import pytest
from support.torch_files import (
    Part,
    archive,
    call,
    checkpoint,
    integer,
    integers,
    legacy,
    mapping,
    name,
    pickle_of,
    read,
    storage,
    tensor,
    text,
    tuple_of,
    vector,
    write,
    zip_of,
)

from thermoscan.errors import (
    CheckpointError,
    LimitError,
    MalformedError,
    ThermoscanError,
    UnsafeError,
    UnsupportedFormatError,
)
from thermoscan.limits import Limits

CODE = {
    "GLOBAL": call("os.system", text("touch /tmp/thermoscan-was-here")),
    "GLOBAL that is only named": name("posix.system"),
    "STACK_GLOBAL": text("builtins") + text("eval") + b"\x93" + tuple_of(text("1+1")) + b"R",
    "INST": b"(" + text("x") + b"ios\nsystem\n",
    "NEWOBJ": name("subprocess.Popen") + tuple_of(text("true")) + b"\x81",
    "NEWOBJ_EX": name("subprocess.Popen") + tuple_of(text("true")) + b"}\x92",
    "dotted name": name("torch._utils.x._rebuild_tensor_v2"),
    "getattr": call("builtins.getattr", text("a"), text("b")),
    "torch's own loader": call("torch.load", text("other.pt")),
    "a name hidden behind POP": name("os.system") + b"0N",
    "as a storage class": storage("0", 2, "os.system"),
    "in a value never used": mapping({"w": vector(), "lr": call("builtins.exec", text("x"))}),
    "in an attribute": call("argparse.Namespace") + name("os.system") + b"b",
    "Python 2": call("__builtin__.execfile", text("x")),
}


def refused(content: bytes, tmp_path: Path, limits: Limits | None = None) -> ThermoscanError:
    path = write(tmp_path / "model.pt", content)
    with pytest.raises(ThermoscanError) as caught:
        read(path, limits)
    assert caught.value.file == "model.pt"
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("container", [zip_of, legacy], ids=["zip", "legacy"])
def test_the_files_built_here_are_valid_until_they_are_spoiled(
    container: object, tmp_path: Path
) -> None:
    assert callable(container)
    path = write(tmp_path / "model.pt", container(mapping({"w": vector()})))
    (found,) = read(path).tensors
    assert (found.name, found.shape) == ("w", (2,))


@pytest.mark.parametrize("container", [zip_of, legacy], ids=["zip", "legacy"])
@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
def test_code_is_refused_and_named(code: bytes, container: object, tmp_path: Path) -> None:
    assert callable(container)
    error = refused(container(code), tmp_path)
    assert isinstance(error, UnsafeError)
    assert error.code == "pickle-code"
    assert not Path("/tmp/thermoscan-was-here").exists()


def test_the_message_names_the_code(tmp_path: Path) -> None:
    error = refused(zip_of(CODE["GLOBAL"]), tmp_path)
    assert "os.system" in str(error)


def test_a_name_of_code_is_shown_printable(tmp_path: Path) -> None:
    error = refused(zip_of(b"c\x1b[31mevil\xff\nx\n"), tmp_path)
    assert "\\x1b[31mevil" in str(error)


def test_code_in_the_first_pickle_of_a_legacy_file_is_refused(tmp_path: Path) -> None:
    assert refused(pickle_of(CODE["GLOBAL"]), tmp_path).code == "pickle-code"


def test_code_in_the_list_of_storages_of_a_legacy_file_is_refused(tmp_path: Path) -> None:
    whole = legacy(mapping({"w": vector()}), {})
    listed = pickle.dumps([], 2)
    assert whole.endswith(listed)
    spoiled = whole[: -len(listed)] + pickle_of(CODE["GLOBAL"])
    assert refused(spoiled, tmp_path).code == "pickle-code"


def test_an_old_tar_checkpoint_is_not_read(tmp_path: Path) -> None:
    inside = write(tmp_path / "pickle", pickle_of(CODE["GLOBAL"]))
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(inside, "pickle")
    with pytest.raises(ThermoscanError) as caught:
        read(path)
    assert caught.value.file == "model.tar"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"\x82\x01", "pickle-opcode"),
        (b"\x83\x01\x00", "pickle-opcode"),
        (b"\x97", "pickle-opcode"),
        (b"I1\n", "pickle-opcode"),
        (b"(" + name("argparse.Namespace") + b"o", "pickle-opcode"),
        (b"(" + b"iargparse\nNamespace\n", "pickle-opcode"),
        (b"Ptorch\n", "pickle-opcode"),
        (call("argparse.Namespace") + tuple_of() + b"R", "pickle-code"),
        (text("os") + b"N\x93", "pickle-code"),
        (b"R", "pickle-structure"),
        (b"e", "pickle-structure"),
        (b"NN", "pickle-structure"),
        (b"(N", "pickle-structure"),
        (b"]NNu", "pickle-structure"),
        (b"}(Nu", "pickle-structure"),
        (b"h\x07", "pickle-structure"),
        (b"Nr\xff\xff\xff\x7f", "pickle-structure"),
        (b"\x80\x09N", "pickle-structure"),
        (b"X\x02\x00\x00\x00\xff\xff", "pickle-structure"),
        (b"c" + b"a" * 5000, "pickle-structure"),
        (vector() + b"Nb", "pickle-structure"),
        (text("storage") + b"Q", "pickle-structure"),
        (tuple_of(text("module"), name("torch.Tensor"), *[b"N"] * 3) + b"Q", "pickle-structure"),
        (call("torch._utils._rebuild_parameter", b"N", b"\x88", b"}"), "pickle-structure"),
        (call("torch._utils._rebuild_tensor_v2", integer(1)), "pickle-structure"),
        (call("collections.OrderedDict", b"](Ne"), "pickle-structure"),
        (b"\x8e" + struct.pack("<Q", 2**60), "pickle-truncated"),
        (b"\x8d" + struct.pack("<Q", 2**60), "pickle-truncated"),
        (b"\x95" + struct.pack("<Q", 2**60), "pickle-truncated"),
        (b"\x8b" + struct.pack("<i", 2**31 - 1), "pickle-truncated"),
        (b"\x8b" + struct.pack("<i", -1), "pickle-truncated"),
        (b"G\x00", "pickle-truncated"),
    ],
)  # fmt: skip
def test_instructions_that_make_no_sense_are_refused(
    value: bytes, code: str, tmp_path: Path
) -> None:
    assert refused(zip_of(value), tmp_path).code == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (tensor(storage("0", 2), (3,), (1,)), "tensor-outside-storage"),
        (tensor(storage("0", 2), (1,), (1,), offset=2), "tensor-outside-storage"),
        (tensor(storage("0", 2), (0,), (1,), offset=3), "tensor-outside-storage"),
        (tensor(storage("0", 2), (2,), (2**62,)), "tensor-outside-storage"),
        (tensor(storage("0", 2), (1,), (1,), offset=2**62), "tensor-outside-storage"),
        (tensor(storage("0", 2), (2**40,), (0,)), "tensor-overlapping-strides"),
        (tensor(storage("0", 2), (2, 2), (0, 1)), "tensor-overlapping-strides"),
        (tensor(storage("0", 2), (-1,), (1,)), "pickle-structure"),
        (tensor(storage("0", 2), (2,), (-1,)), "pickle-structure"),
        (tensor(storage("0", 2), (2,), (1,), offset=-1), "pickle-structure"),
        (tensor(storage("0", 2), (2,), ()), "pickle-structure"),
        (tensor(storage("0", 2), (2**62, 8), (8, 1)), "tensor-too-large"),
        (tensor(storage("0", 2), (2**70,), (1,)), "tensor-too-large"),
        (tensor(storage("0", 2), (1,) * 9, (1,) * 9), "tensor-dimensions"),
        (tensor(storage("0", 3), (2,), (1,)), "storage-size"),
        (tensor(storage("0", 2, "torch.DoubleStorage"), (1,), (1,)), "storage-size"),
        (vector("1"), "storage-missing"),
        (vector("../version"), "storage-missing"),
        (tuple_of(vector(), tensor(storage("0", 1), (1,), (1,))), "storage-conflict"),
        (
            tuple_of(vector(), tensor(storage("0", 2, "torch.IntStorage"), (2,), (1,))),
            "storage-conflict",
        ),
        (tensor(storage("0", 2, "torch.FloatStorage", integers(0)), (2,), (1,)), "storage-view"),
    ],
)  # fmt: skip
def test_tensors_that_lie_about_their_storage_are_refused(
    value: bytes, code: str, tmp_path: Path
) -> None:
    assert refused(zip_of(mapping({"w": value})), tmp_path).code == code


ONE = mapping({"w": vector()})
GOOD = checkpoint(pickle_of(ONE))


def spoiled(index: int, **changes: object) -> list[Part]:
    """The valid archive with one member's `central` or `local` header changed."""
    parts = checkpoint(pickle_of(ONE))
    for key, value in changes.items():
        setattr(parts[index], key, value)
    return parts


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (archive([*GOOD, Part("archive/data.pkl", pickle_of(b"N"))]), "zip-duplicate-name"),
        (archive([*GOOD, Part("other/data.pkl", pickle_of(b"N"))]), "zip-layout"),
        (archive([*GOOD, Part("archive/x/data.pkl", pickle_of(b"N"))]), "zip-layout"),
        (archive([*GOOD, Part("readme", b"")]), "zip-layout"),
        (archive([Part("data.pkl", pickle_of(ONE))]), "zip-layout"),
        (archive([Part("archive/other.pkl", b"")]), "format-archive"),
        (archive([*GOOD, Part("archive/code/x.py", b"")]), "format-torchscript"),
        (archive([*GOOD, Part("archive/constants.pkl", b"")]), "format-torchscript"),
        (archive([*GOOD, Part("archive/byteorder", b"big")]), "big-endian"),
        (archive(spoiled(0, central={"flags": 1}, local={"flags": 1})), "zip-encrypted"),
        (archive(spoiled(0, central={"method": 8}, local={"method": 8})), "zip-compressed"),
        (archive(spoiled(1, central={"packed": 4})), "zip-compressed"),
        (archive(spoiled(1, local={"method": 8})), "zip-disagreement"),
        (archive(spoiled(1, local={"flags": 1})), "zip-disagreement"),
        (archive(spoiled(1, local={"flags": 8})), "zip-disagreement"),
        (archive(spoiled(1, local={"name": b"archive/data/1"})), "zip-disagreement"),
        (archive(spoiled(1, local={"name": b"archive/data/00"})), "zip-disagreement"),
        (archive(spoiled(1, local={"size": 4, "packed": 4})), "zip-disagreement"),
        (archive(spoiled(1, local={"crc": 1})), "zip-disagreement"),
        (archive(spoiled(1, central={"size": 4, "packed": 4})), "zip-disagreement"),
        (archive(spoiled(2, central={"size": 1 << 30, "packed": 1 << 30})), "zip-disagreement"),
        (archive(spoiled(1, central={"flags": 8}, local={"flags": 8})), "zip-disagreement"),
        (archive(spoiled(2, central={"offset": 0})), "zip-overlap"),
        (archive(spoiled(2, central={"offset": 1})), "zip-overlap"),
        (archive(spoiled(2, central={"offset": 1 << 31})), "zip-disagreement"),
        (archive(spoiled(2, central={"size": (1 << 32) - 1})), "zip-directory"),
        (archive(spoiled(0, central={"crc": 1}, local={"crc": 1})), "zip-checksum"),
        (archive(GOOD) + b"x", "zip-directory"),
        (b"PK" + archive(GOOD), "zip-directory"),
        (archive(GOOD, comment=b"PK\5\6" + bytes(18)), "zip-directory"),
        (archive(GOOD, disk=1), "zip-directory"),
        (archive(GOOD, here=2), "zip-directory"),
        (archive(GOOD, count=2, here=2), "zip-directory"),
        (archive(GOOD, count=4, here=4), "zip-directory"),
        (archive(GOOD, size=1), "zip-directory"),
        (archive(GOOD, start=1), "zip-directory"),
        (archive(GOOD, start=(1 << 32) - 1), "zip-directory"),
        (archive(GOOD)[:-1], "zip-directory"),
        (archive(GOOD)[:100], "zip-directory"),
        (b"PK\3\4", "zip-directory"),
        (archive([]), "format-archive"),
        (archive([Part("archive/data.pkl", pickle_of(ONE) + b"N"), *GOOD[1:]]), "trailing-bytes"),
    ],
)
def test_archives_that_two_readers_would_read_differently_are_refused(
    content: bytes, code: str, tmp_path: Path
) -> None:
    assert refused(content, tmp_path).code == code


def test_bytes_behind_the_data_that_lie_are_refused(tmp_path: Path) -> None:
    """The record behind a member's data repeats its size; here it does, and then it does not."""
    flags = {"flags": 8}
    parts = checkpoint(pickle_of(ONE))
    parts[1] = Part("archive/data/0", bytes(8), flags, {**flags, "crc": 0, "size": 0, "packed": 0})
    whole = archive(parts)
    at = whole.index(b"archive/data/0") + len("archive/data/0") + 8
    crc = struct.unpack_from("<I", whole, whole.rindex(b"archive/data/0") - 30)[0]
    for size, verdict in ((8, None), (9, "zip-disagreement")):
        record = struct.pack("<4s3I", b"PK\7\x08", crc, size, size)
        shifted = _insert(whole, at, record)
        if verdict is None:
            path = write(tmp_path / "model.pt", shifted)
            assert [found.name for found in read(path).tensors] == ["w"]
        else:
            assert refused(shifted, tmp_path).code == verdict


def _insert(whole: bytes, at: int, record: bytes) -> bytes:
    """Puts `record` at `at` and moves the last member, the directory and its offsets along."""
    start = struct.unpack_from("<I", whole, len(whole) - 6)[0]
    body, directory, end = whole[:start], whole[start:-22], whole[-22:]
    last = directory.rindex(b"PK\1\2") + 42
    moved = struct.unpack_from("<I", directory, last)[0] + len(record)
    directory = directory[:last] + struct.pack("<I", moved) + directory[last + 4 :]
    end = end[:16] + struct.pack("<I", start + len(record)) + end[20:]
    return body[:at] + record + body[at:] + directory + end


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (legacy(ONE) + b"x", "trailing-bytes"),
        (legacy(ONE)[:-1], "storage-outside"),
        (legacy(ONE)[:-9], "storage-outside"),
        (legacy(ONE, {"0": bytes(12)}), "storage-size"),
        (legacy(ONE, {}), "storage-missing"),
        (legacy(ONE, keys=["0", "0"]), "storage-missing"),
        (legacy(ONE, {"0": bytes(8), "1": bytes(8)}), "storage-missing"),
        (legacy(ONE, keys=["1"]), "storage-missing"),
        (legacy(ONE, little_endian=False), "big-endian"),
        (legacy(ONE, protocol=1000), "torch-protocol"),
        (pickle_of(ONE), "format-pickle"),
        (pickle.dumps({"a": 1}, 4), "format-pickle"),
        (legacy(ONE)[:30], "pickle-truncated"),
        (b"", "pickle-truncated"),
        (b"zip", "pickle-opcode"),
    ],
)
def test_legacy_files_that_do_not_add_up_are_refused(
    content: bytes, code: str, tmp_path: Path
) -> None:
    assert refused(content, tmp_path).code == code


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(archive_members=2), "zip-members"),
        (Limits(header_bytes=100), "zip-directory-too-large"),
        (Limits(pickle_bytes=100), "pickle-too-large"),
        (Limits(pickle_bytes=400), "pickle-expands"),
    ],
)
def test_limits_of_the_zip_are_kept(limits: Limits, code: str, tmp_path: Path) -> None:
    error = refused(zip_of(ONE), tmp_path, limits)
    assert isinstance(error, LimitError)
    assert error.code == code


def test_the_limit_on_pickles_holds_for_legacy_files(tmp_path: Path) -> None:
    value = mapping({"w": vector(), "log": text("x" * 9000)})
    error = refused(legacy(value), tmp_path, Limits(pickle_bytes=5000))
    assert (type(error), error.code) == (LimitError, "pickle-too-large")


def test_errors_are_of_the_tree_by_their_kind(tmp_path: Path) -> None:
    assert isinstance(refused(archive(GOOD)[:-1], tmp_path), MalformedError)
    assert isinstance(refused(zip_of(name("os.system")), tmp_path), CheckpointError)
    assert isinstance(refused(zip_of(b"}"), tmp_path), UnsupportedFormatError)
