"""Eight bits a weight: equal to PyTorch to the bit, half a step off at most, tied as the model is, whole on disk."""

import copy
import json
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.ao.quantization import MinMaxObserver, PerChannelMinMaxObserver
from transformers import GPT2Config, GPT2LMHeadModel

from mmcourse.adapters import add_lora
from mmcourse.deploy import (
    Grid,
    QuantizedConv2d,
    QuantizedEmbedding,
    QuantizedFileError,
    QuantizedLinear,
    QuantizedWeight,
    count_bytes,
    dequantize,
    fit_grid,
    load_quantized,
    quantize,
    quantize_model,
    save_quantized,
)
from mmcourse.encoders.cnn import CNN
from mmcourse.lm import GPT, GPTConfig

SCHEMES = ("symmetric", "affine")
# The peer is on its way out of PyTorch and says so.
theirs = pytest.mark.filterwarnings("ignore:.*quantize.*:UserWarning", "ignore::DeprecationWarning:torch.*")


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def gpt(seed=0):
    model = GPT(GPTConfig(vocabulary_size=61, context=16, width=24, heads=4, depth=2)).eval()
    for number, weight in enumerate(model.parameters()):
        weight.data += 0.2 * numbers(*weight.shape, seed=seed + number)
    return model


def tokens(seed=0):
    return torch.randint(61, (2, 12), generator=torch.Generator().manual_seed(seed))


# The functions.


def test_by_hand():
    x = torch.tensor([[-1.0, 0.5], [0.0, 3.0]])
    grid = fit_grid(x, scheme="affine")
    assert grid.scale.tolist() == [[pytest.approx(4 / 255)]]
    assert grid.zero_point.tolist() == [[-64]]  # −128 + round(63.75)
    assert quantize(x, grid).tolist() == [[-128, -32], [-64, 127]]
    symmetric = fit_grid(x, axis=0)
    assert symmetric.scale.tolist() == [[pytest.approx(1 / 127)], [pytest.approx(3 / 127)]]
    assert quantize(x, symmetric).tolist() == [[-127, 64], [0, 127]]  # 63.5 goes to the even one


@theirs
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("seed", range(5))
def test_one_grid_equals_pytorch_to_the_bit(scheme, seed):
    x = numbers(50, 37, seed=seed) * 10.0 ** (seed - 3) + seed % 2
    grid = fit_grid(x, scheme=scheme)
    symmetric = {"qscheme": torch.per_tensor_symmetric, "quant_min": -127, "quant_max": 127}
    observer = MinMaxObserver(
        dtype=torch.qint8, **(symmetric if scheme == "symmetric" else {"qscheme": torch.per_tensor_affine})
    )
    observer(x)
    scale, zero_point = observer.calculate_qparams()
    assert torch.equal(grid.scale.flatten(), scale)
    assert torch.equal(grid.zero_point.flatten().int(), zero_point.int())
    their = torch.quantize_per_tensor(x, scale.item(), zero_point.item(), torch.qint8)
    assert torch.equal(quantize(x, grid), their.int_repr())
    assert torch.equal(dequantize(quantize(x, grid), grid), their.dequantize())


@theirs
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_grid_each_channel_equals_pytorch_to_the_bit(scheme, axis):
    x = numbers(6, 5, 3, 3) * torch.logspace(-3, 2, 5)[:, None, None] + 0.1
    grid = fit_grid(x, scheme=scheme, axis=axis)
    symmetric = {"qscheme": torch.per_channel_symmetric, "quant_min": -127, "quant_max": 127}
    observer = PerChannelMinMaxObserver(
        ch_axis=axis % 4, dtype=torch.qint8,
        **(symmetric if scheme == "symmetric" else {"qscheme": torch.per_channel_affine}),
    )  # fmt: skip
    observer(x)
    scale, zero_point = observer.calculate_qparams()
    assert torch.equal(grid.scale.flatten(), scale)
    assert torch.equal(grid.zero_point.flatten().int(), zero_point.int())
    their = torch.quantize_per_channel(x, scale, zero_point, axis % 4, torch.qint8)
    assert torch.equal(quantize(x, grid), their.int_repr())
    assert torch.equal(dequantize(quantize(x, grid), grid), their.dequantize())


def test_what_lies_outside_goes_to_the_end_as_in_pytorch():
    x = 5 * numbers(1000)
    grid = Grid(torch.tensor(0.05), torch.tensor(17, dtype=torch.int8))
    their = torch.fake_quantize_per_tensor_affine(x, 0.05, 17, -128, 127)
    assert torch.equal(dequantize(quantize(x, grid), grid), their)
    assert {-128, 127} <= set(quantize(x, grid).tolist())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False), min_size=1, max_size=20),
    st.sampled_from(SCHEMES),
    st.sampled_from([None, 0]),
)
def test_nothing_moves_more_than_half_a_step_and_zero_stays(values, scheme, axis):
    x = torch.tensor([*values, 0.0])[:, None]
    grid = fit_grid(x, scheme=scheme, axis=axis)
    found = dequantize(quantize(x, grid), grid)
    assert found[-1] == 0
    # The room above half a step is that of float32 at 128 steps.
    assert bool(((found.double() - x.double()).abs() <= grid.scale.double() * 0.5001).all())
    assert torch.equal(quantize(found, grid), quantize(x, grid))


def test_a_slow_reference():
    x = numbers(4, 6)
    for scheme in SCHEMES:
        grid = fit_grid(x, scheme=scheme, axis=0)
        found = quantize(x, grid)
        for row in range(4):
            s, z = grid.scale[row].item(), grid.zero_point[row].item()
            places = torch.arange(-128, 128)
            for column in range(6):
                nearest = ((places - z) * s - x[row, column]).abs().argmin()
                assert found[row, column] == places[nearest]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_of_floats(dtype):
    x = numbers(8, 8).to(dtype)
    assert torch.equal(quantize(x, fit_grid(x, axis=0)), quantize(x.float(), fit_grid(x.float(), axis=0)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_grid(numbers(2), scheme="log"), "scheme must be one of symmetric, affine, got 'log'"),
        (lambda: fit_grid(torch.zeros(0)), "x must be floating-point numbers, at least one, got torch.float32 (0,)"),
        (lambda: fit_grid(torch.zeros(2, dtype=torch.int64)), "at least one, got torch.int64 (2,)"),
        (lambda: fit_grid(numbers(2, 3), axis=2), "axis must be one of the 2 dimensions of x, got 2"),
        (lambda: fit_grid(torch.tensor([1.0, torch.nan])), "x must be finite"),
        (lambda: fit_grid(torch.tensor([-3e38, 3e38]), scheme="affine"), "its range one that float32 can hold"),
        (lambda: quantize(numbers(2, 3), fit_grid(numbers(4, 3), axis=0)), "broadcasts to (2, 3), got (4, 1), (4, 1)"),
        (
            lambda: quantize(torch.tensor([1]), fit_grid(numbers(1))),
            "x must be floating-point numbers, got torch.int64",
        ),
        (lambda: dequantize(numbers(2), fit_grid(numbers(2))), "values must be int8, got torch.float32"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# Layers.

LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), QuantizedLinear, lambda: numbers(2, 3, 7)),
    "no bias": (lambda: nn.Linear(7, 5, bias=False), QuantizedLinear, lambda: numbers(2, 7)),
    "conv": (
        lambda: nn.Conv2d(6, 4, 3, stride=2, padding=1, dilation=2, groups=2),
        QuantizedConv2d,
        lambda: numbers(2, 6, 9, 8),
    ),
    "embedding": (
        lambda: nn.Embedding(9, 4, padding_idx=0),
        QuantizedEmbedding,
        lambda: torch.tensor([[1, 0], [8, 8]]),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_layer_is_the_float_layer_with_rounded_weights(name, scheme, per_channel):
    make, kind, inputs = LAYERS[name]
    torch.manual_seed(0)
    model, x = nn.Sequential(make()), inputs()
    small = quantize_model(model, scheme=scheme, per_channel=per_channel)
    assert type(small[0]) is kind
    rounded = copy.deepcopy(model)
    grid = fit_grid(model[0].weight, scheme=scheme, axis=0 if per_channel else None)
    rounded[0].weight.data = dequantize(quantize(model[0].weight.detach(), grid), grid)
    assert not torch.equal(rounded[0].weight, model[0].weight)
    assert torch.equal(small(x), rounded(x))
    assert torch.equal(small[0].weight, rounded[0].weight)


def test_types_of_floats_change_and_scales_do_not():
    model = nn.Sequential(nn.Linear(64, 8))
    model[0].weight.data = 1e-3 * numbers(8, 64)
    small = quantize_model(model)
    scale = small[0].stored.scale.clone()
    small.half()
    assert small[0].weight.dtype == torch.float16
    assert small[0].bias.dtype == torch.float16
    assert torch.equal(small[0].stored.scale, scale)
    small.float()
    assert torch.equal(small[0].stored.scale, scale)
    assert quantize_model(nn.Sequential(nn.Linear(3, 2).to(torch.bfloat16)))[0].weight.dtype == torch.bfloat16
    assert small.to("meta")[0].weight.is_meta


def test_gradients_reach_what_is_before():
    model = quantize_model(nn.Sequential(nn.Linear(4, 3)))
    x = numbers(2, 4).requires_grad_()
    model(x).sum().backward()
    torch.testing.assert_close(x.grad, model[0].weight.sum(0).expand(2, 4))


# Whole models.


def test_a_gpt_stays_close_and_small_and_tied():
    model = gpt()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    small = quantize_model(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert isinstance(small.embedding, QuantizedEmbedding)  # whose floats the head reads as well
    logits, expected = small(tokens()), model(tokens())
    assert not torch.equal(logits, expected)
    assert (logits - expected).std() < 0.03 * expected.std()
    assert count_bytes(small) < 0.4 * count_bytes(model)
    assert small.training == model.training


def test_a_head_that_shares_its_weight_shares_the_int8_too():
    sizes = {"vocab_size": 61, "n_positions": 16, "n_embd": 24, "n_layer": 1, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).eval()
    small = quantize_model(model)
    assert small.lm_head.stored is small.transformer.wte.stored
    kept = [name for name, _ in small.named_buffers() if name.endswith("values")]
    assert kept == ["transformer.wte.stored.values", "transformer.wpe.stored.values"]  # the others are Conv1D
    with torch.no_grad():
        logits, expected = small(tokens()).logits, model(tokens()).logits
    assert (logits - expected).std() < 0.03 * expected.std()


def test_a_layer_of_two_names_stays_one_layer():
    one = nn.Linear(4, 4)
    small = quantize_model(nn.Sequential(one, nn.ReLU(), one))
    assert small[0] is small[2]


def test_what_is_left_as_it_is():
    class Odd(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({
        "circular": nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
        "bounded": nn.Embedding(4, 4, max_norm=1.0),
        "odd": Odd(4, 4),
        "computed": nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
        "shared": shared,
        "plain": nn.Linear(4, 4),
    })  # fmt: skip
    model.register_parameter("table", shared.weight)
    small = quantize_model(model)
    changed = [
        name for name in model if isinstance(small[name], QuantizedLinear | QuantizedConv2d | QuantizedEmbedding)
    ]
    assert changed == ["plain"]
    assert small["shared"].weight is small.table


def test_in_place_and_a_torch_transformer():
    """Whose fast path reads the weights of its linear layers without calling them."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    model = nn.Sequential(layer)
    assert quantize_model(model, in_place=True) is model
    x = numbers(2, 5, 16)
    with torch.no_grad():
        fast = model(x)
    torch.testing.assert_close(fast, model(x.requires_grad_()).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(2, 2), "nothing to quantize"),
        (lambda: quantize_model(gpt()), "model is quantized already, the first layer is embedding"),
        (lambda: gpt().to("meta"), "the model is on the meta device"),
        (lambda: adapted(), "model has adapters already"),
        (lambda: broken(), "x must be finite"),
    ],
)
def test_models_that_are_refused(make, message):
    model = make()
    kinds = [type(module) for module in model.modules()]
    with pytest.raises(ValueError, match=message):
        quantize_model(model, in_place=True)
    assert [type(module) for module in model.modules()] == kinds


def adapted():
    model = gpt()
    add_lora(model, rank=2, alpha=2)
    return model


def broken():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight.data[0, 0] = torch.inf
    return model


# Files.

MODELS = {
    "gpt": (gpt, tokens),
    "cnn": (lambda: CNN((8, 16), stem=2).eval(), lambda: numbers(2, 3, 16, 16)),
    "tied": (lambda: tied(), lambda: torch.tensor([1, 4])),
}


def tied(width=3):
    model = nn.Sequential(nn.Embedding(5, width), nn.Linear(width, 5, bias=False))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("per_channel", [True, False])
def test_what_is_loaded_computes_what_was_saved(name, per_channel, tmp_path):
    make, inputs = MODELS[name]
    torch.manual_seed(0)
    small = quantize_model(make(), scheme="affine", per_channel=per_channel)
    path = tmp_path / "new" / "model.safetensors"
    save_quantized(small, path)
    first = path.read_bytes()
    save_quantized(small, path)
    assert path.read_bytes() == first
    torch.manual_seed(1)
    fresh = make()
    load_quantized(fresh, path)
    found = fresh(inputs())
    assert torch.equal(found, small(inputs()))
    assert path.stat().st_size < count_bytes(small) + 8000
    if name == "tied":
        assert fresh[0].stored is fresh[1].stored
    assert [path.name for path in path.parent.iterdir()] == ["model.safetensors"]


FRESH = """
import sys, torch
from mmcourse.deploy import load_quantized
from mmcourse.lm import GPT, GPTConfig
model = GPT(GPTConfig(vocabulary_size=61, context=16, width=24, heads=4, depth=2)).eval()
load_quantized(model, sys.argv[1])
torch.save(model(torch.load(sys.argv[2], weights_only=True)).detach(), sys.argv[3])
"""


def test_a_fresh_process_computes_the_same(tmp_path):
    small = quantize_model(gpt())
    files = [tmp_path / name for name in ("model.safetensors", "tokens.pt", "logits.pt")]
    save_quantized(small, files[0])
    torch.save(tokens(), files[1])
    done = subprocess.run([sys.executable, "-c", FRESH, *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert torch.equal(torch.load(files[2], weights_only=True), small(tokens()).detach())


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def damage_bit(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def other_kind(path):
    save_file({"a": torch.zeros(2)}, path, metadata={"mmcourse": json.dumps({"kind": "lora"})})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "there is no file"),
        (damage_cut, "is damaged or no safetensors file"),
        (damage_bit, "was changed after it was saved"),
        (lambda path: path.write_bytes(b"no"), "is damaged or no safetensors file"),
        (other_kind, "holds no quantized model"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(damage, message, tmp_path):
    path = tmp_path / "model.safetensors"
    save_quantized(quantize_model(tied()), path)
    damage(path)
    with pytest.raises(QuantizedFileError, match=message) as caught:
        load_quantized(tied(), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: tied(4), r"holds \(5, 3\) for 0.stored.values, the model wants \(5, 4\)"),
        (lambda: nn.Sequential(nn.ReLU()), "it quantizes 0, and the model has no such"),
        (lambda: nn.Sequential(*tied(), nn.Linear(5, 2)), "it holds nothing for 2.bias"),
    ],
)
def test_a_file_of_another_model_is_refused_and_changes_nothing(model, message, tmp_path):
    path = tmp_path / "model.safetensors"
    save_quantized(quantize_model(tied()), path)
    other = model()
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(QuantizedFileError, match=message):
        load_quantized(other, path)
    assert {name: value.tolist() for name, value in other.state_dict().items()} == {
        name: value.tolist() for name, value in before.items()
    }


def test_what_is_no_quantized_model_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="model is not quantized; call quantize_model first"):
        save_quantized(gpt(), tmp_path / "a")
    with pytest.raises(ValueError, match=r"stored must be \(2, 3\), got \(3, 2\)"):
        QuantizedLinear(nn.Linear(3, 2), QuantizedWeight.of(numbers(3, 2)))
    assert not list(tmp_path.iterdir())
