"""Formats are told by content: each is read, or refused with its name and a step to take."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.safetensors_files import write_tensors
from support.wheels import path_of

from thermoscan.errors import SourceError, UnsupportedFormatError
from thermoscan_adapters.files import find_file
from thermoscan_adapters.formats import identify


def identify_bytes(folder: Path, content: bytes, name: str = "model.safetensors") -> str:
    (folder / name).write_bytes(content)
    return identify(find_file(folder, name))


def zip_of(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return content.getvalue()


def tar_of(name: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return content.getvalue()


def npy() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


def npz() -> bytes:
    content = io.BytesIO()
    np.savez(content, a=np.zeros(3), b=np.zeros(3))
    return content.getvalue()


@pytest.mark.parametrize(
    ("checkpoint", "name", "format"),
    [
        ("minilm", "model.safetensors", "safetensors"),
        ("fracast", "model.int8.safetensors", "safetensors"),
        ("antiberty", "pytorch_model.bin", "torch-zip"),
        ("antiberty", "training_args.bin", "torch-zip"),
        ("crepe-full", "", "torch-zip"),
        ("chgnet-0.3.0", "", "torch-zip"),
        ("resemblyzer", "", "torch-legacy"),
    ],
)
def test_real_checkpoints_are_told_apart(checkpoint: str, name: str, format: str) -> None:
    path = path_of(checkpoint) / name
    assert identify(find_file(path.parent, path.name)) == format


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("silero_vad.jit", "format-torchscript"),
        ("silero_vad.onnx", "format-onnx"),
        ("silero_vad_16k_op15.onnx", "format-onnx"),
        ("silero_vad_op18_ifless.onnx", "format-onnx"),
    ],
)
def test_real_files_of_other_formats_are_refused_by_name(name: str, code: str) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        identify(find_file(path_of("silero"), name))
    assert (caught.value.code, caught.value.file) == (code, name)


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        (b"GGUF\x03\0\0\0" + bytes(64), "format-gguf", "GGUF"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "format-hdf5", "Keras"),
        (npy(), "format-numpy", "NumPy array"),
        (npz(), "format-numpy", "NumPy archive"),
        (b"\x1c\0\0\0TFL3" + bytes(64), "format-tensorflow", "Lite"),
        (b"\x08\x01\x12\xff\x01" + bytes(64), "format-tensorflow", "TensorFlow"),
        (bytes(80) + bytes.fromhex("57fb808b247547db"), "format-tensorflow", "TensorFlow"),
        (tar_of("weights"), "format-archive", "tar"),
        (gzip.compress(b"weights", mtime=0), "format-archive", "gzip"),
        (b"BZh91AY&SY", "format-archive", "bzip2"),
        (b"\xfd7zXZ\x00\x00", "format-archive", "xz"),
        (b"\x28\xb5\x2f\xfd\x00", "format-archive", "zstd"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "format-archive", "7z"),
        (b"Rar!\x1a\x07\x01\x00", "format-archive", "rar"),
        (zip_of("weights.txt"), "format-archive", "zip"),
        (zip_of("config.json", "model.weights.h5"), "format-keras", "Keras"),
        (zip_of("m/data.pkl", "m/code/a.py", "m/constants.pkl"), "format-torchscript", "Script"),
        (pickle.dumps({"a": 1}, protocol=2), "format-pickle", "pickle"),
        (pickle.dumps({"a": 1}, protocol=4), "format-pickle", "pickle"),
        (b"\x81\xa6params\x81\xa1w\x01", "format-flax", "Flax"),
        (b"\xde\x00\x10\xa6params", "format-flax", "Flax"),
        (b"just some text", "format-unknown", "no known format"),
        (b'{"error": "not found"}', "format-unknown", "no known format"),
        (b"x", "format-unknown", "no known format"),
        (bytes(4096), "format-unknown", "no known format"),
    ],
)
def test_each_other_format_is_refused_whatever_its_file_is_called(
    tmp_path: Path, content: bytes, code: str, named: str
) -> None:
    with pytest.raises(UnsupportedFormatError, match=named) as caught:
        identify_bytes(tmp_path, content)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("content", "code", "step"),
    [
        (b"", "file-empty", "download it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "git-lfs-pointer",
            "lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "html-page", "web page"),
        (b"\n  <html lang=en>", "html-page", "web page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error>', "html-page", "web page"),
    ],
)
def test_what_a_failed_download_leaves_is_recognised(
    tmp_path: Path, content: bytes, code: str, step: str
) -> None:
    with pytest.raises(SourceError, match=step) as caught:
        identify_bytes(tmp_path, content)
    assert caught.value.code == code


def test_a_name_with_a_foreign_suffix_does_not_deceive(tmp_path: Path) -> None:
    content = write_tensors(tmp_path / "a", "w").read_bytes()
    assert identify_bytes(tmp_path, content, "weights.onnx") == "safetensors"
    assert identify_bytes(tmp_path, zip_of("m/data.pkl", "m/version"), "m.gguf") == "torch-zip"


def test_a_torch_archive_of_many_members_is_recognised(tmp_path: Path) -> None:
    names = ["archive/data.pkl", *(f"archive/data/{i}" for i in range(20_000))]
    assert identify_bytes(tmp_path, zip_of(*names), "big.pt") == "torch-zip"


def test_a_broken_safetensors_header_is_left_to_its_validator(tmp_path: Path) -> None:
    assert identify_bytes(tmp_path, b"\xff" * 8 + b"{") == "safetensors"
    assert identify_bytes(tmp_path, b"\x03" + bytes(7) + b" {}") == "safetensors"
