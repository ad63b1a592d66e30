"""The captioner beside a vision–encoder–decoder model of transformers of the same shape: captions per second.

Both see 64 × 64 pictures as 64 patches of width 128 through three blocks, ours two residual blocks of convolutions and
one of a transformer, the peer's three of a ViT. Both write 14 tokens, greedily or with three beams, through two decoder
blocks with cross-attention, the peer's a GPT-2. Weights are random. Ratios are peer time / our time.
"""

import argparse
import sys
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, VisionEncoderDecoderModel, ViTConfig, ViTModel

sys.path.insert(0, str(Path(__file__).parent))
from timing import compare, report

from mmcourse.datasets import make_scenes
from mmcourse.decoding import beam_search, greedy
from mmcourse.models import Captioner, CaptionerConfig
from mmcourse.recipes.data.worlds import scene_texts
from mmcourse.runtime import device
from mmcourse.tokenizer import WordTokenizer

TOKENS = 14
TARGET = 1.5


def pair():
    torch.manual_seed(0)
    tokenizer = WordTokenizer.train(scene_texts(0, 5_000))
    sizes = CaptionerConfig()
    ours = Captioner(sizes, tokenizer)
    vision = ViTConfig(
        image_size=64, patch_size=8, hidden_size=sizes.width, num_attention_heads=sizes.heads,
        num_hidden_layers=len(sizes.widths) + sizes.encoder_depth, intermediate_size=4 * sizes.width,
    )  # fmt: skip
    language = GPT2Config(
        vocab_size=len(tokenizer), n_positions=TOKENS + 2, n_embd=sizes.width, n_layer=sizes.decoder_depth,
        n_head=sizes.heads, add_cross_attention=True, bos_token_id=tokenizer.bos_id, eos_token_id=None,
    )  # fmt: skip
    theirs = VisionEncoderDecoderModel(
        encoder=ViTModel(vision, add_pooling_layer=False), decoder=GPT2LMHeadModel(language)
    )
    theirs.config.decoder_start_token_id = theirs.generation_config.decoder_start_token_id = tokenizer.bos_id
    theirs.config.pad_token_id = theirs.generation_config.pad_token_id = tokenizer.pad_id
    return ours.eval().to(device()), theirs.eval().to(device())


def rows(ours, theirs):
    """Each comparison: title, ours, peer. No row ends early on either side, so both write the same number of tokens."""
    for count in (1, 16, 64):
        images = make_scenes(count, split="test").images.to(device())
        pixels = images.float() / 127.5 - 1
        prompt = torch.full((count, 1), ours.tokenizer.bos_id, device=device())
        options = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS, "do_sample": False}

        def mine(images=images, prompt=prompt):
            with torch.no_grad():
                return greedy(ours.stepper(ours.memory(images)), prompt, max_length=TOKENS + 1).tokens

        def my_beams(images=images, prompt=prompt):
            with torch.no_grad():
                stepper = ours.stepper(ours.memory(images))
                return beam_search(stepper, prompt, beam_size=3, max_length=TOKENS + 1).tokens

        def peer(pixels=pixels, options=options):
            return theirs.generate(pixels, **options)

        def their_beams(pixels=pixels, options=options):
            return theirs.generate(pixels, num_beams=3, **options)

        for mode, one, other in (("greedy", mine, peer), ("3 beams", my_beams, their_beams)):
            shapes = tuple(one().shape), tuple(other().shape)
            if shapes[0] != shapes[1]:
                raise AssertionError(f"the two write {shapes} tokens, so their times say nothing")
            yield f"{count} pictures, {mode}", count, one, other


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each row")
    seconds = parser.parse_args().seconds
    both = pair()
    sizes = " and ".join(f"{sum(weight.numel() for weight in model.parameters()):,}" for model in both)
    print(f"captions on {device().type} with {torch.get_num_threads()} threads, ratio = peer time / our time")
    print(f"{sizes} weights\n")
    for title, count, mine, peer in rows(*both):
        result = compare(mine, peer, seconds=seconds)
        report(f"{title}, {count / result.ours:,.0f} captions a second", result, target=TARGET)


if __name__ == "__main__":
    main()
