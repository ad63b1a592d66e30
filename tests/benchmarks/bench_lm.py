"""The GPT beside GPT-2 of transformers with the same weights: cached greedy text, and a step of training.

Ratios are peer time / our time, so above 1 is faster.
"""

import argparse
import sys
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).parent))
from timing import compare, report

from mmcourse.decoding import greedy
from mmcourse.lm import from_hf_gpt2, shift
from mmcourse.losses import cross_entropy
from mmcourse.runtime import device
from mmcourse.train import make_optimizer

# vocabulary, context, width, heads, depth
SIZES = [
    (164, 64, 64, 4, 2),
    (1000, 128, 128, 4, 4),
    (5000, 256, 384, 6, 6),
]


def pair(vocabulary, context, width, heads, depth):
    """GPT-2 of transformers with random weights, and ours with copies of them; no dropout, so that both do the same."""
    torch.manual_seed(0)
    sizes = {"vocab_size": vocabulary, "n_positions": context, "n_embd": width, "n_head": heads, "n_layer": depth}
    drops = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    theirs = GPT2LMHeadModel(GPT2Config(**sizes, **drops, bos_token_id=0, eos_token_id=None)).to(device())
    return from_hf_gpt2(theirs), theirs


def greedy_text(sizes):
    """Fifty tokens after a prompt of five, for one row and for eight."""
    ours, theirs = (model.eval() for model in pair(*sizes))
    for rows in (1, 8):
        prompt = torch.randint(sizes[0], (rows, 5), generator=torch.Generator().manual_seed(0)).to(device())
        seen = torch.ones_like(prompt)
        options = {"max_new_tokens": 50, "min_new_tokens": 50, "do_sample": False, "pad_token_id": 0}

        def mine(prompt=prompt):
            return greedy(ours.stepper(), prompt, max_length=55).tokens

        def peer(prompt=prompt, seen=seen, options=options):
            return theirs.generate(prompt, attention_mask=seen, **options)

        if not torch.equal(mine(), peer()):
            raise AssertionError("the two models write different texts, so their times say nothing")
        yield f"greedy, 50 tokens, {rows} rows, width {sizes[2]}", mine, peer, 1.5


def training_step(sizes):
    """Forward, backward and AdamW on 32 rows of at most 64 tokens; both with the same fused optimizer."""
    ours, theirs = (model.train() for model in pair(*sizes))
    mine, peers = make_optimizer(ours), make_optimizer(theirs)
    tokens = torch.randint(sizes[0], (32, min(64, sizes[1])), generator=torch.Generator().manual_seed(0)).to(device())
    inputs, targets = shift(tokens)

    def step():
        mine.zero_grad()
        cross_entropy(ours(inputs), targets).backward()
        mine.step()

    def peer():
        peers.zero_grad()
        theirs(tokens, labels=tokens, use_cache=False).loss.backward()
        peers.step()

    yield f"training step, 32×{tokens.shape[1]} tokens, width {sizes[2]}", step, peer, 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each row")
    seconds = parser.parse_args().seconds
    print(f"GPT on {device().type} with {torch.get_num_threads()} threads, ratio = peer time / our time\n")
    for sizes in SIZES:
        for rows in (greedy_text(sizes), training_step(sizes)):
            for title, mine, peer, target in rows:
                report(title, compare(mine, peer, seconds=seconds), target=target)


if __name__ == "__main__":
    main()
