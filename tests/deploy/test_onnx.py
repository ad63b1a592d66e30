"""ONNX files: the course's networks give the same numbers, for any batch, in a process that has no PyTorch."""

import hashlib
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from mmcourse.deploy import (
    OnnxExportError,
    OnnxFileError,
    OnnxMissingError,
    OnnxModel,
    export_onnx,
    quantize_model,
    runner,
)
from mmcourse.deploy import onnx as exporting
from mmcourse.recipes import load_trained


def pixels(side):
    return lambda count, generator: torch.randint(256, (count, 3, side, side), generator=generator).to(torch.uint8)


def frames(length):
    return lambda count, generator: torch.stack([pixels(64)(length, generator) for _ in range(count)])


def words(length):
    return lambda count, generator: torch.randint(4, 20, (count, length), generator=generator)


def floats(*shape):
    return lambda count, generator: torch.randn(count, *shape, generator=generator)


def times(count, generator):
    return torch.rand(count, generator=generator)


def mask(length):
    return lambda count, generator: torch.arange(length).expand(count, -1) < 2 + torch.arange(count)[:, None]


# Of each bundled model that computes in one pass: the method, and what makes its inputs.
BUNDLED = {
    "tiny-lm": ("forward", words(7)),
    "patches": ("tokens", pixels(64)),
    "scene-reader": ("forward", pixels(32)),
    "clip-pictures": ("encode_image", floats(3888)),
    "clip-texts": ("encode_text", floats(384)),
    "matcher": ("forward", floats(64, 64), words(6), mask(6)),
    "captioner": ("forward", pixels(64), words(6)),
    "vqa": ("classify", pixels(64), words(6)),
    "text2image": ("forward", floats(3, 32, 32), times, words(8), mask(8)),
    "video-captioner": ("forward", frames(8), words(6)),
}
LONG = ("vqa", "text2image", "video-captioner")  # to export; vqa and video-captioner are made of the captioner's parts


def made(parts, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(part(count, generator) for part in parts)


def flat(given):
    return [given] if isinstance(given, torch.Tensor) else list(given)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] * (name in LONG)) for name in BUNDLED]
)
def test_a_model_of_the_course_gives_the_same_numbers_in_any_batch(name, tmp_path):
    method, *parts = BUNDLED[name]
    model = load_trained(name.removesuffix("-pictures").removesuffix("-texts")).model
    path = tmp_path / f"{name}.onnx"
    found = export_onnx(model, made(parts, 2), path, method=method)
    assert found.difference < 1e-4
    run = OnnxModel(path, threads=1)
    for count in (1, 3):
        inputs = made(parts, count, seed=count)
        with torch.no_grad():
            expected = flat(getattr(model, method)(*inputs))
        results = run(*[value.numpy() for value in inputs])
        assert len(results) == len(expected) == len(found.outputs)
        for ours, theirs in zip(expected, results, strict=True):
            torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model in training mode, its file, and what the export said."""
    path, model = tmp_path_factory.mktemp("onnx") / "new" / "small.onnx", small()
    return model, path, export_onnx(model, [torch.randn(2, 3)], path, names=["features"])


def test_the_model_stays_as_it_was_and_is_exported_in_evaluation_mode(exported):
    model, path, found = exported
    assert model.training
    assert all(part.training for part in model)
    assert found.inputs == ("features",)
    x = torch.randn(5, 3)
    np.testing.assert_allclose(OnnxModel(path)(x.numpy())[0], model.eval()(x).detach(), rtol=1e-4, atol=1e-5)
    model.train()


def test_the_file_is_a_sound_onnx_model_with_its_checksum(exported):
    _, path, _ = exported
    content = path.read_bytes()
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto)
    marks = {entry.key: entry.value for entry in proto.metadata_props}
    assert marks["mmcourse.sha256"] == hashlib.sha256(content[: -runner.SEAL]).hexdigest()
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_quantized_model_is_exported_too(tmp_path):
    """The exporter computes the floats of small weights beforehand; a large one stays int8 in the file."""
    model = quantize_model(nn.Sequential(nn.Linear(128, 128)).eval())
    path = tmp_path / "large.onnx"
    export_onnx(model, [torch.randn(2, 128)], path)
    assert onnx.TensorProto.INT8 in {each.data_type for each in onnx.load(path).graph.initializer}
    assert path.stat().st_size < 0.5 * 4 * 128**2


FRESH = """
import sys
sys.modules["torch"] = sys.modules["mmcourse"] = None  # importing them is an error
import numpy as np
from runner import OnnxModel
(found,) = OnnxModel("small.onnx", threads=1)(np.load("x.npy"))
np.save("found.npy", found)
"""


def test_a_fresh_process_needs_the_runner_numpy_and_onnxruntime_alone(exported, tmp_path):
    model, path, _ = exported
    shutil.copy(path, tmp_path)
    shutil.copy(runner.__file__, tmp_path)
    x = torch.randn(4, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    command = [sys.executable, "-c", FRESH]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": "."}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), model.eval()(x).detach(), rtol=1e-4, atol=1e-5)
    model.train()


def changed(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "was cut or changed after it was written"),
        (lambda content: content[: -runner.SEAL], "is not of export_onnx, or its end is missing"),
        (lambda content: b"", "is not of export_onnx, or its end is missing"),
        (changed, "was cut or changed after it was written"),
        (lambda content: b"x" + content, "was cut or changed after it was written"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(exported, damage, message, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(damage(exported[1].read_bytes()))
    with pytest.raises(OnnxFileError, match=message) as caught:
        OnnxModel(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(OnnxFileError, match=r"cannot be read \(No such file"):
        OnnxModel(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((), r"inputs must be 1: features; got 0"),
        ((np.zeros((2, 3)),), r"features must be float32 \(batch, 3\), got float64 \(2, 3\)"),
        ((np.zeros((2, 4), np.float32),), r"features must be float32 \(batch, 3\), got float32 \(2, 4\)"),
        ((np.zeros(3, np.float32),), r"got float32 \(3,\)"),
    ],
)
def test_wrong_inputs_are_refused(exported, arrays, message):
    with pytest.raises(ValueError, match=message):
        OnnxModel(exported[1])(*arrays)


class Depends(nn.Module):
    """Looks at a value in its Python code."""

    def forward(self, x):
        return x if bool(x.sum() > 0) else -x


class Counts(nn.Module):
    """Takes the size of the batch for a constant."""

    def forward(self, x):
        return x + len(x)


@pytest.mark.parametrize("model", [Depends(), Counts()])
def test_what_cannot_be_exported_leaves_the_earlier_file(model, tmp_path):
    path = tmp_path / "it.onnx"
    path.write_bytes(b"earlier")
    with pytest.raises(OnnxExportError, match=rf"{type(model).__name__}\.forward") as caught:
        export_onnx(model, [torch.ones(2, 3)], path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("example", "options", "message"),
    [
        ([torch.zeros(1, 3)], {}, r"the same batch of at least 2 in front, got shapes \[\(1, 3\)\]"),
        ([torch.zeros(2, 3), torch.zeros(3, 3)], {}, "the same batch of at least 2"),
        ([], {}, "the same batch of at least 2"),
        ([torch.zeros(2, 3)], {"names": ["a", "b"]}, r"names must be 1 different ones, one an input, got \['a', 'b'\]"),
        ([torch.zeros(2, 3)], {"method": "see"}, "method must be one that Sequential has, got 'see'"),
    ],
)
def test_what_the_export_refuses(example, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_onnx(small(), example, tmp_path / "a.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_without_the_packages_one_sentence_says_what_to_type(exported, monkeypatch, tmp_path):
    monkeypatch.setattr(exporting, "PACKAGES", ("no_such_package",))
    with pytest.raises(OnnxMissingError) as caught:
        export_onnx(small(), [torch.zeros(2, 3)], tmp_path / "a.onnx")
    said = 'the package {} is not on this machine; type `pip install "mmcourse[onnx]"`'
    assert str(caught.value) == said.format("no_such_package")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OnnxMissingError) as caught:
        OnnxModel(exported[1])
    assert str(caught.value) == said.format("onnxruntime")
