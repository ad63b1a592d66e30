"""Maps: equal to captum on small random models, to slow loops, and complete; what cannot be explained is named."""

import doctest
import sys

import pytest
import torch
from captum.attr import (
    FeatureAblation,
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    LayerGradientXActivation,
    Occlusion,
    Saliency,
)
from torch import nn

from mmcourse.attention import record
from mmcourse.encoders.cnn import CNN
from mmcourse.encoders.vit import ViT, ViTConfig
from mmcourse.interpret import (
    center_map,
    enlarge,
    grad_cam,
    integrated_gradients,
    leave_one_out,
    occlusion,
    random_map,
    rollout,
    rollout_map,
    saliency,
    square_grid,
    token_gradients,
)
from mmcourse.models import VQA, VQAConfig
from mmcourse.tokenizer import WordTokenizer
from mmcourse.transformer import Encoder


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def close(found, wanted, tolerance=1e-5):
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=tolerance)


class Classifier(nn.Module):
    """An encoder of pictures and four classes."""

    def __init__(self, encoder, width):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, 4)

    def forward(self, images):
        return self.head(self.encoder(images))


@pytest.fixture
def cnn():
    torch.manual_seed(0)
    model = Classifier(CNN((8, 16), stem=2), 16)
    model(draw(16, 3, 24, 24, seed=5))  # so that batch normalization has seen something
    return model.eval()


@pytest.fixture
def vit():
    torch.manual_seed(1)
    return Classifier(ViT(ViTConfig(image_size=24, patch_size=6, width=16, depth=3, heads=2)), 16).eval()


@pytest.fixture(params=["cnn", "vit"])
def model(request):
    return request.getfixturevalue(request.param)


TARGETS = torch.tensor([2, 0, 3])
IMAGES = draw(3, 3, 24, 24)


def chosen(model):
    """The logit of each picture's own target."""
    return lambda images: model(images).gather(1, TARGETS[:, None])[:, 0]


@pytest.mark.parametrize("name", ["asking", "gradients", "removing", "layers", "controls", "score"])
def test_the_examples_run(name):
    wanted = {"asking": 0, "gradients": 4, "removing": 2, "layers": 2, "controls": 1, "score": 4}
    result = doctest.testmod(sys.modules[f"mmcourse.interpret.{name}"], extraglobs={"torch": torch})
    assert result == (0, wanted[name])


# Parity with captum.


def test_saliency_equals_captum(model):
    theirs = Saliency(model).attribute(IMAGES.clone().requires_grad_(), target=TARGETS)
    close(saliency(chosen(model), IMAGES), theirs.amax(dim=1))


@pytest.mark.parametrize("baseline", [0.0, 0.3, "picture"])
def test_integrated_gradients_equal_captum(model, baseline):
    baseline = draw(3, 24, 24, seed=4) if baseline == "picture" else baseline
    given = baseline if isinstance(baseline, float) else baseline[None]
    theirs, delta = IntegratedGradients(model).attribute(
        IMAGES, given, TARGETS, n_steps=20, method="riemann_middle", return_convergence_delta=True
    )
    ours = integrated_gradients(chosen(model), IMAGES, baseline=baseline, steps=20)
    close(ours.map, theirs.sum(dim=1))
    close(ours.gap, delta)
    assert ours.gap.abs().max() > 1e-5  # otherwise equal gaps say nothing


@pytest.mark.parametrize(("size", "stride", "baseline"), [(6, None, 0.0), (7, 3, 0.5), (5, 5, -1.0), (24, 24, 0.0)])
def test_occlusion_equals_captum(model, size, stride, baseline):
    step = size if stride is None else stride
    theirs = Occlusion(model).attribute(
        IMAGES, (3, size, size), strides=(3, step, step), baselines=baseline, target=TARGETS
    )
    assert theirs.isfinite().all()
    ours = occlusion(chosen(model), IMAGES, size=size, stride=stride, baseline=baseline)
    close(ours, theirs[:, 0])


@pytest.mark.parametrize("number", [0, 1])
def test_grad_cam_of_a_convolution_equals_captum(cnn, number):
    layer = cnn.encoder.stages[number]
    theirs = LayerGradCam(cnn, layer).attribute(IMAGES, target=TARGETS, relu_attributions=True)
    ours = grad_cam(chosen(cnn), IMAGES, layer=layer)
    assert (ours > 0).any(dim=2).any(dim=1).all()
    close(ours, LayerAttribution.interpolate(theirs, (24, 24), "bilinear")[:, 0])


def test_gradients_of_each_place_equal_captum(cnn):
    layer = cnn.encoder.stages[0]
    theirs = LayerGradientXActivation(cnn, layer).attribute(IMAGES, target=TARGETS).sum(dim=1, keepdim=True).relu()
    ours = grad_cam(chosen(cnn), IMAGES, layer=layer, pooled=False)
    close(ours, LayerAttribution.interpolate(theirs, (24, 24), "bilinear")[:, 0])
    assert (ours - grad_cam(chosen(cnn), IMAGES, layer=layer)).abs().max() > 1e-3


def test_grad_cam_of_patches_equals_captum_on_channels_first(vit):
    """captum takes the mean over all places behind the channels, so tokens are turned and the class token cut off."""

    class Turned(nn.Module):
        """A norm of tokens whose patches pass by `grid` as channels and rows and columns."""

        def __init__(self, norm):
            super().__init__()
            self.norm, self.grid = norm, nn.Identity()

        def forward(self, x):
            x = self.norm(x)
            patches = self.grid(square_grid(x[:, 1:]).permute(0, 3, 1, 2))
            return torch.cat((x[:, :1], patches.flatten(2).mT), dim=1)

    block = vit.encoder.encoder.blocks[-1]
    ours = grad_cam(chosen(vit), IMAGES, layer=block.attention_norm, skip=1)
    block.attention_norm = Turned(block.attention_norm)
    theirs = LayerGradCam(vit, block.attention_norm.grid).attribute(IMAGES, target=TARGETS, relu_attributions=True)
    close(ours, LayerAttribution.interpolate(theirs, (24, 24), "bilinear")[:, 0])
    assert (ours > 0).any()


def test_behind_the_last_attention_patches_have_no_gradient(vit):
    """Why Grad-CAM of a transformer is taken before it: the class token reads nothing afterwards."""
    late = grad_cam(chosen(vit), IMAGES, layer=vit.encoder.encoder.blocks[-1].feed_forward_norm, skip=1)
    assert not late.any()


class Reader(nn.Module):
    """Words in, three classes out, with the table of words apart."""

    def __init__(self):
        super().__init__()
        self.table, self.encoder, self.head = nn.Embedding(11, 16), Encoder(2, 16, 2), nn.Linear(16, 3)

    def read(self, words):
        return self.head(self.encoder(words).mean(dim=1))

    def forward(self, tokens):
        return self.read(self.table(tokens))


TOKENS = torch.randint(11, (3, 6), generator=seeded(2))
CLASSES = torch.tensor([0, 2, 1])


@pytest.fixture
def reader():
    torch.manual_seed(3)
    return Reader().eval()


def test_integrated_gradients_over_words_equal_captum(reader):
    words, padding = reader.table(TOKENS).detach(), reader.table.weight[0].detach()
    theirs, delta = IntegratedGradients(reader.read).attribute(
        words, padding.expand_as(words), CLASSES, n_steps=16, method="riemann_middle", return_convergence_delta=True
    )
    ours = token_gradients(lambda x: reader.read(x)[range(3), CLASSES], words, baseline=padding, steps=16)
    close(ours.map, theirs.sum(dim=2))
    close(ours.gap, delta)


def test_leaving_out_a_word_for_another_equals_captum(reader):
    theirs = FeatureAblation(reader).attribute(TOKENS, baselines=4, target=CLASSES)
    close(leave_one_out(lambda tokens: reader(tokens)[range(3), CLASSES], TOKENS, fill_id=4), theirs.float())


def test_leaving_out_a_word_altogether_equals_a_loop(reader):
    ours = leave_one_out(lambda tokens: reader(tokens)[:, 1], TOKENS)
    with torch.no_grad():
        for row, ids in enumerate(TOKENS.tolist()):
            for place in range(6):
                rest = torch.tensor([ids[:place] + ids[place + 1 :]])
                close(ours[row, place], reader(TOKENS[row, None])[0, 1] - reader(rest)[0, 1])


# What must hold.


def test_more_steps_close_the_gap(model):
    gaps = [integrated_gradients(chosen(model), IMAGES, steps=steps).gap.abs().max() for steps in (4, 256)]
    assert gaps[1] < 1e-2
    assert gaps[1] < gaps[0] / 10


def test_a_linear_score_is_explained_at_once_and_exactly():
    weights, baseline = draw(3, 8, 8, seed=1), draw(3, 8, 8, seed=2)
    images = draw(2, 3, 8, 8)

    def score(images):
        return (images * weights).sum(dim=(1, 2, 3)) + 5

    parts = ((images - baseline) * weights).sum(dim=1)
    found = integrated_gradients(score, images, baseline=baseline, steps=1)
    close(found.map, parts)
    close(found.gap, torch.zeros(2), 1e-4)
    close(occlusion(score, images, size=1, baseline=baseline), parts, 1e-4)


def test_each_sample_is_explained_as_if_alone(model):
    target = TARGETS[1]
    score = chosen(model)
    for explain in (
        saliency,
        lambda score, images: integrated_gradients(score, images, steps=4).map,
        lambda score, images: occlusion(score, images, size=8),
    ):
        close(explain(score, IMAGES)[1:2], explain(lambda images: model(images)[:, target], IMAGES[1:2]))


def test_maps_do_not_move_models(model):
    layer = model.encoder.stages if isinstance(model.encoder, CNN) else model.encoder.encoder.blocks[0]
    model.head.bias.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    score, images = chosen(model), IMAGES.clone().requires_grad_()
    with torch.no_grad():  # whoever explains under no_grad gets gradients all the same
        maps = [
            saliency(score, images),
            integrated_gradients(score, images, steps=2).map,
            grad_cam(score, images, layer=layer, skip=int(isinstance(model.encoder, ViT))),
        ]
    maps.append(occlusion(score, images, size=12))
    assert not any(each.requires_grad for each in maps)
    saliency(score, plain := IMAGES.clone())
    assert not plain.requires_grad
    assert images.grad is None
    assert torch.equal(images, IMAGES)
    assert all(weights.grad is None for weights in model.parameters())
    assert not model.head.bias.requires_grad
    assert not model.training
    assert not any(part._forward_hooks for part in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_grad_cam_leaves_no_hook_behind_when_it_fails(cnn):
    with pytest.raises(ValueError, match="one float for each sample"):
        grad_cam(cnn, IMAGES, layer=cnn.encoder.stages)
    assert not cnn.encoder.stages._forward_hooks


def test_grad_cam_asks_for_gradients_behind_the_layer_alone():
    """A frozen encoder that runs without gradients, and a ReLU that writes into what it is given, are no obstacle."""
    torch.manual_seed(0)
    encoder, rest = nn.Conv2d(3, 6, 3), nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(1))
    rest(encoder(IMAGES))

    def score(frozen):
        def ask(images):
            with torch.set_grad_enabled(not frozen):
                features = encoder(images)
            return rest(features)[:, 0]

        return ask

    assert torch.equal(grad_cam(score(True), IMAGES, layer=encoder), grad_cam(score(False), IMAGES, layer=encoder))
    features = encoder(IMAGES).detach()
    weights = rest[2].weight.view(1, 6, 22, 22) * (features > 0)
    wanted = (weights.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1).relu()
    close(grad_cam(score(True), IMAGES, layer=encoder), enlarge(wanted, (24, 24)).detach())


# Rollout.


def random_attention(*shape, seed=0):
    return draw(*shape, seed=seed).softmax(dim=-1)


@pytest.mark.parametrize("residual", [0.5, 0.2])
def test_rollout_equals_a_slow_loop(residual):
    maps = [random_attention(2, 3, 5, 5, seed=seed) for seed in range(3)]
    ours = rollout(maps, residual=residual)
    for sample in range(2):
        arrived = [[float(i == j) for j in range(5)] for i in range(5)]
        for layer in maps:
            step = [
                [
                    sum(float(layer[sample, head, i, j]) for head in range(3)) / 3 * (1 - residual)
                    + (residual if i == j else 0)
                    for j in range(5)
                ]
                for i in range(5)
            ]
            arrived = [[sum(step[i][k] * arrived[k][j] for k in range(5)) for j in range(5)] for i in range(5)]
        close(ours[sample], torch.tensor(arrived))
    close(ours.sum(dim=-1), torch.ones(2, 5))


def test_the_order_of_layers_counts():
    maps = [random_attention(1, 1, 4, 4, seed=seed) for seed in range(2)]
    assert (rollout(maps) - rollout(maps[::-1])).abs().max() > 0.01


def test_a_rollout_map_is_the_row_of_the_class_token(vit):
    vit.train()
    found = rollout_map(vit.encoder, IMAGES)
    assert vit.encoder.training
    maps = record(vit.eval().encoder, IMAGES).maps
    row = rollout([*maps.values()])[:, 0, 1:].detach()  # (B, 16)
    close(found, enlarge(row.view(3, 4, 4), (24, 24)))
    close(rollout_map(vit.encoder.tokens, IMAGES), found)


def test_without_a_class_token_all_patches_are_asked():
    torch.manual_seed(0)

    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.narrow, self.encoder = nn.Conv2d(3, 16, 8, stride=8), Encoder(2, 16, 2)

        def forward(self, images):
            return self.encoder(self.narrow(images).flatten(2).mT)

    model = Patches().eval()
    wanted = rollout([*record(model, IMAGES).maps.values()]).mean(dim=1).detach().view(3, 3, 3)
    close(rollout_map(model, IMAGES, skip=0), enlarge(wanted, (24, 24)))


# A model of the course.


def test_answers_to_questions_can_be_explained():
    torch.manual_seed(0)
    tokenizer = WordTokenizer.train(["is there a cat ?"])
    model = VQA(VQAConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16)), tokenizer).eval()
    question = torch.tensor([model.question_ids("Is there a cat?")] * 2)
    pictures = torch.randint(256, (2, 3, 64, 64), generator=seeded(), dtype=torch.uint8)

    def score(images):
        return model.classify(model.memory(images), question)[:, 1]

    images = pictures.float()
    close(score(images), model.classify(pictures, question)[:, 1])
    for found in (
        saliency(score, images),
        integrated_gradients(score, images, baseline=127.5, steps=2).map,
        grad_cam(score, images, layer=model.encoder.blocks[0].attention_norm),
        grad_cam(score, images, layer=model.cnn.stages),
        occlusion(score, images, size=32, baseline=127.5),
    ):
        assert found.shape == (2, 64, 64)
        assert found.any()


# Controls.


def test_the_middle_is_the_peak_of_the_center_map_and_its_sides_are_alike():
    found = center_map(torch.zeros(2, 3, 9, 13))
    assert found.shape == (2, 9, 13)
    assert found[1].argmax() == 4 * 13 + 6
    close(found, found.flip(1))
    close(found, found.flip(2))
    assert found.min() > 0


def test_a_random_map_is_known_by_its_generator():
    first, same, other = (random_map(IMAGES, generator=seeded(seed)) for seed in (0, 0, 1))
    assert first.shape == (3, 24, 24)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() < 1
    assert first.mean().item() == pytest.approx(0.5, abs=0.05)


# What cannot be explained.

EXPLAINERS = {
    "saliency": saliency,
    "integrated": integrated_gradients,
    "occlusion": lambda score, images: occlusion(score, images, size=8),
    "grad_cam": lambda score, images: grad_cam(score, images, layer=nn.Identity()),
}


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_score_of_the_wrong_shape_is_named(name, cnn):
    for score, got in (
        (cnn, r"torch\.float32 \(3, 4\)"),
        (lambda images: cnn(images).sum(), r"torch\.float32 \(\)"),
        (lambda images: cnn(images).argmax(dim=1), r"torch\.int64 \(3,\)"),
        (lambda images: [1.0] * 3, "list"),
    ):
        with pytest.raises(ValueError, match=rf"score must give one float for each sample, shape \(3,\), got {got}"):
            EXPLAINERS[name](score, IMAGES)


@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("images", [IMAGES[0], IMAGES.to(torch.uint8)])
def test_images_that_are_none_are_named(name, images):
    with pytest.raises(ValueError, match=r"images must be float \(B, C, H, W\), got torch"):
        EXPLAINERS[name](lambda images: images.flatten(1).sum(dim=1), images)


@pytest.mark.parametrize("explain", [saliency, integrated_gradients])
def test_a_score_without_gradient_is_named(explain, cnn):
    cut = torch.no_grad()(chosen(cnn))
    for score in (
        cut,
        lambda images: chosen(cnn)(images.detach()),
        lambda images: cut(images) + cnn.head.bias[:3],
    ):
        with pytest.raises(ValueError, match="score must let gradients through to its input, got none"):
            explain(score, IMAGES)


def test_layers_that_cannot_be_looked_at_are_named(cnn, vit):
    with pytest.raises(ValueError, match="layer must be a part that runs when score is asked, got Linear"):
        grad_cam(chosen(cnn), IMAGES, layer=nn.Linear(2, 2))
    with pytest.raises(ValueError, match="gradients through to layer, got none"):
        grad_cam(torch.no_grad()(chosen(cnn)), IMAGES, layer=cnn.encoder.stages)
    with pytest.raises(ValueError, match=r"layer must give \(B, K, h, w\), or tokens \(B, P, K\), got \(3, 4\)"):
        grad_cam(chosen(cnn), IMAGES, layer=cnn.head)
    with pytest.raises(ValueError, match=r"tokens must be the patches of a square grid, got 17 of them.*class token"):
        grad_cam(chosen(vit), IMAGES, layer=vit.encoder.encoder.blocks[-1].attention_norm)
    layer = nn.LSTM(3, 3)
    with pytest.raises(ValueError, match="layer must give one tensor, got tuple from LSTM"):
        grad_cam(lambda images: layer(images[:, :, 0].mT)[0].sum(dim=(1, 2)), IMAGES, layer=layer)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: integrated_gradients(len, IMAGES, steps=0), "steps must be at least 1, got 0"),
        (lambda: integrated_gradients(len, IMAGES, baseline=torch.zeros(5)), r"baseline must be.*got \(5,\)"),
        (lambda: occlusion(len, IMAGES, size=25), "size must be from 1 to 24, the shorter side"),
        (lambda: occlusion(len, IMAGES, size=4, stride=5), "stride must be from 1 to 4"),
        (lambda: token_gradients(len, TOKENS), r"embeddings must be float \(B, T, C\), got torch.int64 \(3, 6\)"),
        (lambda: leave_one_out(len, TOKENS.float()), r"tokens must be ids, integers \(B, T\)"),
        (lambda: leave_one_out(len, TOKENS[:, :1]), "tokens must have a word to spare"),
        (lambda: rollout([]), "maps must be self-attention of one size.*got none"),
        (lambda: rollout([torch.ones(1, 2, 3, 4)]), r"got \(1, 2, 3, 4\)"),
        (lambda: rollout([torch.ones(1, 2, 3, 3), torch.ones(1, 2, 4, 4)]), "one size in each layer"),
        (lambda: rollout([torch.ones(3, 3)]), r"got \(3, 3\)"),
        (lambda: rollout([torch.ones(1, 1, 2, 2)], residual=2), "residual must be from 0 to 1, got 2"),
        (lambda: rollout_map(len, IMAGES), "model must be a module or one of its methods, such as"),
        (lambda: rollout_map(nn.Linear(2, 2), IMAGES), "holds no MultiHeadAttention"),
        (lambda: square_grid(torch.zeros(1, 0, 2)), "square grid, got 0"),
        (lambda: center_map(IMAGES, spread=0), "spread must be above 0"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
