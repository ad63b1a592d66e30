"""LoRA by hand: equal to peft on random models; merged, unmerged to the bit, kept in files; all else is refused."""

import copy
import doctest
import io
import json
import sys

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

from mmcourse.adapters import (
    AdapterFileError,
    LoRALinear,
    add_lora,
    load_adapter,
    lora_layers,
    low_rank_update,
    merge,
    merged_weight,
    remove_lora,
    save_adapter,
    unmerge,
)
from mmcourse.lm import GPT, GPTConfig

VOCABULARY = 61
PLAIN = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}


def gpt2():
    sizes = {"vocab_size": VOCABULARY, "n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 4}
    return GPT2LMHeadModel(GPT2Config(**sizes, **PLAIN, bos_token_id=0, eos_token_id=0))


def llama():
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=2, **sizes, **tokens))


def gpt():
    return GPT(GPTConfig(vocabulary_size=VOCABULARY, context=32, width=24, heads=4, depth=2))


# A model, and the last parts of the names of the layers to wrap: fused queries, keys and values in GPT-2's.
MODELS = {
    "gpt2": (gpt2, ["c_attn", "c_proj", "c_fc"]),
    "llama": (llama, ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"]),
    "gpt": (gpt, ["query", "value", "out", "expand", "contract"]),
}
LAYERS = {"gpt2": 4, "llama": 5, "gpt": 5}  # so many in each of the two blocks; GPT-2 has two by the name c_proj


def made(name, seed=0):
    """A model whose every weight has a value that a mix-up would show."""
    model = MODELS[name][0]().eval()
    generator = torch.Generator().manual_seed(seed)
    for path, weight in model.named_parameters():
        center = 1.0 if weight.dim() == 1 and path.endswith("weight") else 0.0  # norms let through what comes
        weight.data.normal_(center, 0.2, generator=generator)
    return model


def adapted(name, *, seed=0, rank=3, alpha=5, **options):
    """The model with corrections that change it."""
    model, generator = made(name, seed), torch.Generator().manual_seed(seed)
    add_lora(model, rank=rank, alpha=alpha, where=MODELS[name][1], generator=generator, **options)
    disturb(model)
    return model


def disturb(model, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for layer in lora_layers(model).values():
        layer.up.data.copy_(0.2 * torch.randn(layer.up.shape, generator=generator))  # the same in every type


def tokens(seed=0):
    return torch.randint(VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(seed))


def logits(model, prompt=None):
    out = model(tokens() if prompt is None else prompt)
    return out if isinstance(out, torch.Tensor) else out.logits


def loss(model):
    prompt = tokens(1)
    return F.cross_entropy(logits(model, prompt[:, :-1]).flatten(0, 1), prompt[:, 1:].flatten())


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def values(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def same_bits(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


# The functions.


def test_the_update_and_the_merged_weight_by_hand():
    x, down, up = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[2.0], [-1.0]])
    assert low_rank_update(x, down, up, scale=0.5).tolist() == [[4.0, -2.0]]
    weight = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert merged_weight(weight, down, up, scale=0.5).tolist() == [[1.0, 1.0, 1.0], [0.5, 0.0, -0.5]]


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 4, 5)])
def test_the_merged_weight_does_what_map_and_update_do(shape):
    x, weight, down, up = (torch.randn(size, dtype=torch.float64) for size in (shape, (6, 5), (2, 5), (6, 2)))
    both = F.linear(x, weight) + low_rank_update(x, down, up, scale=1.5)
    close(F.linear(x, merged_weight(weight, down, up, scale=1.5)), both, 1e-12)
    assert torch.linalg.matrix_rank(merged_weight(weight, down, up, scale=1.5) - weight) == 2


def test_shapes_that_do_not_fit_are_named():
    x, down, up = torch.ones(1, 3), torch.ones(2, 3), torch.ones(4, 2)
    with pytest.raises(ValueError, match=r"down must be \(R, I\) and up \(O, R\) of one R, got \(2, 3\) and \(4, 1\)"):
        low_rank_update(x, down, torch.ones(4, 1), scale=1)
    with pytest.raises(ValueError, match="x has 5 channels, down reads 3"):
        low_rank_update(torch.ones(1, 5), down, up, scale=1)
    with pytest.raises(ValueError, match=r"weight must be \(O, I\) = \(4, 3\), got \(3, 4\)"):
        merged_weight(torch.ones(3, 4), down, up, scale=1)


@pytest.mark.parametrize(("part", "examples"), [("lora", 2), ("wrapping", 2)])
def test_the_examples_run(part, examples):
    module = sys.modules[f"mmcourse.adapters.{part}"]
    assert doctest.testmod(module, extraglobs={"torch": torch, "nn": nn}) == (0, examples)


# Parity with peft.


def peft_twin(name, model, rank=3, alpha=5):
    """The same model wrapped by peft, with the same A and B."""
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=MODELS[name][1], fan_in_fan_out=name == "gpt2"
    )
    twin = inject_adapter_in_model(config, made(name)).eval()
    theirs = {path: module for path, module in twin.named_modules() if isinstance(module, LoraLayer)}
    ours = lora_layers(model)
    assert ours.keys() == theirs.keys()
    with torch.no_grad():
        for path, layer in ours.items():
            theirs[path].lora_A["default"].weight.copy_(layer.down)
            theirs[path].lora_B["default"].weight.copy_(layer.up)
    return twin, theirs


@pytest.mark.parametrize("name", MODELS)
def test_output_gradients_and_merged_weights_equal_peft(name):
    model = adapted(name)
    twin, theirs = peft_twin(name, model)
    with torch.no_grad():
        assert (logits(model) - logits(made(name))).abs().max() > 0.1, "corrections that change nothing prove nothing"
        close(logits(model), logits(twin))
    for each in (model, twin):
        loss(each).backward()
    for path, layer in lora_layers(model).items():
        assert layer.down.grad.abs().max() > 0.01, "gradients of nearly zero prove nothing either"
        close(layer.down.grad, theirs[path].lora_A["default"].weight.grad)
        close(layer.up.grad, theirs[path].lora_B["default"].weight.grad)
    merge(model)
    for path, layer in theirs.items():
        layer.merge()
        close(model.get_submodule(path).base.weight, layer.base_layer.weight)
    with torch.no_grad():
        close(logits(model), logits(twin))


def test_the_start_has_the_spread_of_peft():
    """Both uniform within ±1/√I; the numbers themselves come from other places of the generator."""
    layer = LoRALinear(nn.Linear(400, 7), rank=50, alpha=1, generator=torch.Generator().manual_seed(0))
    theirs = inject_adapter_in_model(LoraConfig(r=50, target_modules=["0"]), nn.Sequential(nn.Linear(400, 7)))
    for start in (layer.down, theirs[0].lora_A["default"].weight):
        assert 0.0499 < start.abs().max() <= 0.05
        assert abs(start.std() - 0.05 / 3**0.5) < 0.001
        assert abs(start.mean()) < 0.001


# Wrapping.


@pytest.mark.parametrize("name", MODELS)
def test_it_begins_as_the_base_to_the_last_bit(name):
    model, base = made(name), made(name)
    add_lora(model, rank=4, alpha=8, where=MODELS[name][1])
    with torch.no_grad():
        assert torch.equal(logits(model), logits(base))
    merge(model)
    with torch.no_grad():
        assert torch.equal(logits(model), logits(base))


@pytest.mark.parametrize("name", MODELS)
def test_nothing_learns_but_the_adapters(name):
    model = made(name).train()
    count = add_lora(model, rank=2, alpha=4, where=MODELS[name][1], dropout=0.1)
    before = values(model)
    learning = {path for path in before if path.endswith((".down", ".up"))}
    assert len(learning) == 2 * len(lora_layers(model)) == 4 * LAYERS[name]
    assert count == (sum(before[path].numel() for path in learning), sum(each.numel() for each in before.values()))
    assert {path for path, weight in model.named_parameters() if weight.requires_grad} == learning
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
    after = values(model)
    assert {path for path in after if not torch.equal(after[path], before[path])} == learning
    assert all(weight.grad is None for path, weight in model.named_parameters() if path not in learning)


def test_adapters_learn():
    """The few new numbers bring the loss down on what they see; a frozen model alone would stay."""
    torch.manual_seed(0)
    model = made("gpt")
    add_lora(model, rank=4, alpha=8, generator=torch.Generator().manual_seed(0))
    before = loss(model).item()
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=2e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
    assert loss(model).item() < before / 2


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("c_attn", ["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"]),
        ("h.1.attn.*", ["transformer.h.1.attn.c_attn", "transformer.h.1.attn.c_proj"]),
        (["transformer.h.0.mlp.c_fc", "h.1.mlp.c_fc"], ["transformer.h.0.mlp.c_fc", "transformer.h.1.mlp.c_fc"]),
        ("attn.c_proj", ["transformer.h.0.attn.c_proj", "transformer.h.1.attn.c_proj"]),
    ],
)
def test_where_chooses_by_names(where, expected):
    model = made("gpt2")
    add_lora(model, rank=1, alpha=1, where=where)
    assert list(lora_layers(model)) == expected


def test_without_where_all_are_wrapped_but_what_shares_its_weight():
    model = made("gpt2")
    add_lora(model, rank=1, alpha=1)
    assert len(lora_layers(model)) == 8
    assert type(model.lm_head) is nn.Linear
    assert model.lm_head.weight is model.transformer.wte.weight
    model = made("llama")
    add_lora(model, rank=1, alpha=1)
    assert "lm_head" in lora_layers(model)


def refused(model, message, **options):
    """One sentence, and a model as it was."""
    names, flags = list(model.state_dict()), [weight.requires_grad for weight in model.parameters()]
    with pytest.raises(ValueError, match=message) as caught:
        add_lora(model, **{"rank": 2, "alpha": 2, **options})
    assert "\n" not in str(caught.value)
    assert list(model.state_dict()) == names
    assert [weight.requires_grad for weight in model.parameters()] == flags


def test_what_cannot_be_wrapped_is_refused():
    model = made("gpt2")
    there = r"there are transformer\.h\.\*\.attn\.c_attn, transformer\.h\.\*\.attn\.c_proj, .*\.mlp\.c_proj, lm_head$"
    refused(model, rf"where='q_proj' matches no linear layer; {there}", where="q_proj")
    refused(model, "where='attn' matches no", where=["c_attn", "attn"])  # what holds layers is no layer
    refused(model, "where is empty", where=[])
    refused(model, "layer lm_head shares its weight with transformer.wte.weight, which a merge", where="lm_head")
    refused(model, "rank must be a whole number of at least 1, got 0", rank=0)
    refused(model, r"rank must be a whole number of at least 1, got 2\.0", rank=2.0)
    refused(model, "alpha must be finite and above 0, got 0", alpha=0)
    refused(model, "dropout must be at least 0 and below 1, got 1", dropout=1)
    refused(nn.Sequential(nn.Conv2d(1, 1, 1)), r"model has no nn\.Linear and no Conv1D inside")
    refused(nn.Linear(2, 2), r"model has no nn\.Linear and no Conv1D inside")
    refused(nn.Linear(2, 2), r"model has no nn\.Linear and no Conv1D inside", where="*")
    # A subclass of nn.Linear, whose weight is read without a call.
    refused(nn.MultiheadAttention(4, 2), r"model has no nn\.Linear and no Conv1D inside", where="out_proj")
    twice = nn.Linear(3, 3)
    refused(nn.Sequential(twice, twice), r"layer 0 shares its weight with 1\.weight", where="0")
    add_lora(model, rank=1, alpha=1, where="c_attn")
    refused(model, r"adapters already, the first on transformer\.h\.0\.attn\.c_attn; call remove_lora", where="c_fc")
    refused(model, "adapters already", where="nothing at all")
    with pytest.raises(TypeError, match=r"base must be nn\.Linear or transformers' Conv1D, got Embedding"):
        LoRALinear(nn.Embedding(2, 2), rank=1, alpha=1)


@pytest.mark.parametrize("call", [merge, unmerge, remove_lora, lambda model: save_adapter(model, "nowhere")])
def test_a_model_without_adapters_is_refused(call):
    with pytest.raises(ValueError, match="model has no adapters; call add_lora or load_adapter first"):
        call(made("gpt"))


def test_the_start_comes_from_the_generator_alone():
    starts = []
    for seed in (0, 0, 1):
        model, state = made("gpt"), torch.get_rng_state()
        add_lora(model, rank=2, alpha=2, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(torch.get_rng_state(), state)
        starts.append(model.decoder.blocks[0].attention.query.down)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_dropout_is_for_the_correction_in_training_alone():
    base = nn.Linear(200, 3)
    layer = LoRALinear(base, rank=4, alpha=4, dropout=0.5)
    layer.up.data.normal_()
    x = torch.randn(6, 200)
    kept = []
    layer.dropout.register_forward_hook(lambda module, given, out: kept.append(out))
    found = layer(x)
    assert 0.3 < (kept[0] == 0).float().mean() < 0.7
    close(found, base(x) + low_rank_update(kept[0], layer.down, layer.up, scale=1.0))
    layer.eval()
    close(layer(x), base(x) + low_rank_update(x, layer.down, layer.up, scale=1.0))


def test_a_layer_by_itself_freezes_its_base_and_takes_over_its_mode():
    layer = LoRALinear(nn.Linear(2, 2).eval(), rank=1, alpha=1, dropout=0.5)
    assert not layer.dropout.training
    assert [name for name, weight in layer.named_parameters() if weight.requires_grad] == ["down", "up"]


# Merging.


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_merged_and_unmerged_logits_agree_and_the_base_comes_back(name):
    model, base = adapted(name), made(name)
    apart, before = logits(model), values(model)
    merge(model)
    close(logits(model), apart)
    changed = {path for path, weight in values(model).items() if not torch.equal(weight, before[path])}
    assert changed == {f"{path}.base.weight" for path in lora_layers(model)}
    merge(model)  # twice is once
    close(logits(model), apart)
    unmerge(model)
    assert same_bits(values(model), before)
    unmerge(model)
    assert same_bits(values(model), before)
    assert torch.equal(logits(model), apart)
    merge(model)
    remove_lora(model, merged=False)
    assert same_bits(values(model), values(base))


@torch.no_grad()
def test_unmerging_is_exact_where_a_difference_would_be_rounded():
    """A correction a million times the weight: taken away again by subtraction, nothing of the weight would be left."""
    layer = LoRALinear(nn.Linear(4, 4), rank=2, alpha=2)
    before = layer.base.weight.clone()
    layer.up.fill_(1e6)
    layer.merge()
    rounded = layer.base.weight - layer.scale * layer.up @ layer.down
    assert not torch.equal(rounded, before)
    copied = copy.deepcopy(layer)
    for each in (layer, copied):
        each.unmerge()
        assert torch.equal(each.base.weight, before)


@torch.no_grad()
def test_a_merge_survives_a_change_of_type():
    model, before = adapted("gpt"), values(made("gpt"))
    merge(model)
    model.half().float()
    unmerge(model)
    remove_lora(model, merged=False)
    wrapped = [path for path in before if path.split(".")[-2] in MODELS["gpt"][1] and path.endswith("weight")]
    assert len(wrapped) == 10
    assert all(torch.equal(model.get_parameter(path), before[path]) for path in wrapped)


def test_training_a_merged_model_is_refused():
    model = adapted("gpt").train()
    merge(model)
    with pytest.raises(ValueError, match=r"merged, so nothing would learn; call unmerge\(model\) before training"):
        loss(model)
    with torch.no_grad():
        loss(model)
    model.eval()
    assert not logits(model).requires_grad


def test_a_merged_state_is_neither_given_nor_taken():
    model = adapted("gpt")
    state = {name: value.clone() for name, value in model.state_dict().items()}
    merge(model)
    for call in (model.state_dict, lambda: model.load_state_dict(state)):
        with pytest.raises(ValueError, match="the adapters are merged, so a state_dict would hold them twice"):
            call()
    unmerge(model)
    assert same_bits(model.state_dict(), state)


def test_names_in_the_state_are_stable():
    model = nn.ModuleDict({"one": nn.Linear(2, 3), "two": Conv1D(2, 3)})
    add_lora(model, rank=1, alpha=1)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes == {
        "one.down": (1, 2), "one.up": (3, 1), "one.base.weight": (3, 2), "one.base.bias": (3,),
        "two.down": (1, 3), "two.up": (2, 1), "two.base.weight": (3, 2), "two.base.bias": (2,),
    }  # fmt: skip
    twin = copy.deepcopy(model)
    disturb(model)
    twin.load_state_dict(model.state_dict())
    x = torch.randn(4, 3)
    assert torch.equal(twin["two"](x), model["two"](x))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("before", [merge, unmerge])
def test_taken_off_it_is_a_plain_model_that_does_the_same(name, before):
    model = adapted(name)
    with torch.no_grad():
        expected = logits(model)
    before(model)
    remove_lora(model)
    assert not lora_layers(model)
    plain = made(name)
    plain.load_state_dict(model.state_dict())  # the names and shapes of an ordinary model
    with torch.no_grad():
        close(logits(plain), expected)
    add_lora(model, rank=1, alpha=1, where=MODELS[name][1])  # and it can be wrapped again


def test_code_that_reads_a_weight_sees_the_correction():
    """PyTorch's fast path of an encoder layer passes the weights on and never calls the linear layers."""
    x = torch.randn(2, 5, 8)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    add_lora(layer, rank=2, alpha=2, where=["linear1", "linear2"])
    disturb(layer)
    with torch.no_grad():
        fast = layer(x)
    slow = layer(x)
    assert slow.requires_grad
    close(fast, slow.detach())
    with torch.no_grad():
        assert (fast - F.layer_norm(x, (8,))).abs().max() > 0.1
    for wrapped in (lora_layers(layer)["linear1"], LoRALinear(Conv1D(3, 8), rank=2, alpha=4)):
        wrapped.up.data.normal_()
        assert wrapped.weight.shape == wrapped.base.weight.shape
        weight = wrapped.weight.T if wrapped.transposed else wrapped.weight
        close(F.linear(x, weight, wrapped.bias), wrapped(x))
        wrapped.merge()
        assert wrapped.weight is wrapped.base.weight
        assert (wrapped.in_features, wrapped.out_features) == (weight.shape[1], weight.shape[0])


# Types.


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@torch.no_grad()
def test_adapters_follow_the_type_of_their_layer(dtype):
    model = made("gpt").to(dtype)
    start = made("gpt")
    for each in (model, start):
        add_lora(each, rank=3, alpha=5, where=MODELS["gpt"][1], generator=torch.Generator().manual_seed(0))
        disturb(each)
    assert {weight.dtype for weight in model.parameters()} == {dtype}
    found, expected = logits(model), logits(start)
    assert found.dtype == dtype
    size = expected.abs().max()
    tolerance = 30 * max(torch.finfo(dtype).eps, 1e-7)
    assert (found.float() - expected).abs().max() / size < tolerance
    before = values(model)
    merge(model)
    assert (logits(model).float() - expected).abs().max() / size < tolerance
    unmerge(model)
    assert same_bits(values(model), before)


def test_under_autocast_it_learns_and_merges_in_full_precision():
    model, expected = adapted("gpt"), adapted("gpt")
    merge(expected)
    with torch.autocast("cpu", torch.bfloat16):
        loss(model).backward()
        assert all(layer.down.grad.isfinite().all() for layer in lora_layers(model).values())
        merge(model)
    assert same_bits(values(model), values(expected))


# Files.


@pytest.fixture
def saved(tmp_path):
    """A model with adapters, and the file that they are in."""
    model, path = adapted("gpt2", dropout=0.25), tmp_path / "folder" / "adapter.safetensors"
    save_adapter(model, path)
    return model, path


def test_a_file_holds_the_adapters_alone(saved):
    model, path = saved
    held = load_file(path)
    assert held.keys() == {f"{name}.{part}" for name in lora_layers(model) for part in ("down", "up")}
    assert path.stat().st_size < 4 * sum(each.numel() for each in held.values()) + 3000
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["mmcourse"])
    assert facts["config"] == {"rank": 3, "alpha": 5, "dropout": 0.25}
    first = path.read_bytes()
    merge(model)
    save_adapter(model, path)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", MODELS)
def test_a_fresh_model_takes_the_file_and_does_the_same(name, tmp_path):
    model, path = adapted(name, dropout=0.25), tmp_path / "adapter"
    save_adapter(model, path)
    fresh, state = made(name), torch.get_rng_state()
    learning = load_adapter(fresh, path)
    assert torch.equal(torch.get_rng_state(), state), "loading draws nothing that others see"
    assert learning.learning == sum(weight.numel() for weight in fresh.parameters() if weight.requires_grad)
    assert same_bits(values(fresh), values(model))
    with torch.no_grad():
        assert torch.equal(logits(fresh), logits(model))
    settings = {(each.rank, each.alpha, each.dropout.p, each.training) for each in lora_layers(fresh).values()}
    assert settings == {(3, 5, 0.25, False)}


def test_a_file_may_be_smaller_and_a_model_of_another_type(tmp_path):
    model, path = adapted("gpt"), tmp_path / "adapter"
    save_adapter(model, path)
    size = path.stat().st_size
    save_adapter(model, path, dtype=torch.float16)
    assert path.stat().st_size < 0.7 * size
    for dtype in (torch.float32, torch.bfloat16):
        fresh = made("gpt").to(dtype)
        load_adapter(fresh, path)
        for name, layer in lora_layers(fresh).items():
            assert layer.down.dtype == dtype
            assert torch.equal(layer.down, lora_layers(model)[name].down.half().to(dtype))


def cannot_load(model, path, message, kind=AdapterFileError):
    names, flags = list(model.state_dict()), [weight.requires_grad for weight in model.parameters()]
    with pytest.raises(kind, match=message) as caught:
        load_adapter(model, path)
    assert "\n" not in str(caught.value)
    assert list(model.state_dict()) == names
    assert [weight.requires_grad for weight in model.parameters()] == flags


def test_another_model_is_refused(saved):
    _, path = saved
    cannot_load(
        made("llama"), path, r"does not fit this model: it is for a linear layer transformer\.h\.0\.attn\.c_attn"
    )
    sizes = {"vocab_size": VOCABULARY, "n_positions": 32, "n_embd": 24, "n_head": 4}
    wider = GPT2LMHeadModel(GPT2Config(**{**sizes, "n_embd": 32}, n_layer=2, bos_token_id=0, eos_token_id=0))
    cannot_load(wider, path, r"it holds \(3, 24\) for transformer\.h\.0\.attn\.c_attn\.down, the model wants \(3, 32\)")
    shorter = GPT2LMHeadModel(GPT2Config(**sizes, n_layer=1, bos_token_id=0, eos_token_id=0))
    cannot_load(shorter, path, r"transformer\.h\.1\.attn\.c_attn, and the model has none of this name")
    cannot_load(adapted("gpt2"), path, "model has adapters already", ValueError)
    tied = made("llama")
    add_lora(tied, rank=1, alpha=1, where="lm_head")
    save_adapter(tied, path)
    tied = made("llama")
    tied.lm_head.weight = tied.model.embed_tokens.weight
    cannot_load(tied, path, "layer lm_head shares its weight with model.embed_tokens.weight")


def rewritten(path, change):
    """The file with other facts or weights, written by safetensors itself."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["mmcourse"])
    weights = load_file(path)
    facts = change(facts, weights) or facts
    save_file(weights, path, metadata={"mmcourse": json.dumps(facts)})


def test_a_file_that_was_changed_is_refused(saved):
    _, path = saved
    whole = path.read_bytes()
    for end in (0, 5, 400, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        cannot_load(made("gpt2"), path, "damaged or no safetensors file .*; save it again")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    cannot_load(made("gpt2"), path, "was changed after it was saved")
    changes = [
        lambda facts, weights: facts["config"].update(alpha=50),
        lambda facts, weights: weights.popitem(),
        lambda facts, weights: weights.update(more=torch.zeros(2)),
        lambda facts, weights: weights.update(
            {name: weight.reshape(weight.T.shape) for name, weight in weights.items()}
        ),
        lambda facts, weights: weights.update(number=torch.tensor(1.0)),
        lambda facts, weights: facts.pop("config"),
    ]
    for change in changes:
        path.write_bytes(whole)
        rewritten(path, lambda facts, weights, change=change: change(facts, weights) and None)
        cannot_load(made("gpt2"), path, "was changed after it was saved")
    path.write_bytes(whole)
    load_adapter(made("gpt2"), path)


def test_what_is_no_adapter_is_refused(saved, tmp_path):
    _, path = saved
    cannot_load(made("gpt2"), tmp_path / "none", "there is no file .*none; give one that save_adapter wrote")
    cannot_load(made("gpt2"), tmp_path, "damaged or no safetensors file")
    whole = path.read_bytes()
    rewritten(path, lambda facts, weights: {**facts, "format": 2})
    cannot_load(made("gpt2"), path, "has format 2, this version reads 1; save it again")
    for facts in ({"recipe": "tiny-lm", "format": 1}, ["lora"], "lora", None):
        path.write_bytes(whole)
        rewritten(path, lambda _, weights, facts=facts: facts if facts is not None else {})
        if facts is None:
            save_file(load_file(path), path)
        cannot_load(made("gpt2"), path, "holds no adapter; give one that save_adapter wrote")
    save_file(load_file(path), path, metadata={"mmcourse": "{"})
    cannot_load(made("gpt2"), path, "damaged or no safetensors file")
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, buffer)
    path.write_bytes(buffer.getvalue())
    cannot_load(made("gpt2"), path, "damaged or no safetensors file")


def test_what_cannot_be_saved_is_refused(tmp_path):
    model, path = adapted("gpt"), tmp_path / "adapter"
    with pytest.raises(ValueError, match=r"dtype must be a floating-point type, got torch\.int8"):
        save_adapter(model, path, dtype=torch.int8)
    odd = nn.ModuleDict({"a": LoRALinear(nn.Linear(2, 2), rank=1, alpha=1), "b": nn.Linear(2, 2)})
    odd["b"] = LoRALinear(odd["b"], rank=2, alpha=1)
    with pytest.raises(
        ValueError, match=r"must have one \(rank, alpha, dropout\), got \[\(1, 1, 0\.0\), \(2, 1, 0\.0\)\]"
    ):
        save_adapter(odd, path)
    with pytest.raises(ValueError, match="the model is on the meta device"):
        save_adapter(model.to("meta"), path)
    assert not path.exists()
