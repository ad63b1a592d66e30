"""Attention beside PyTorch's own: `nn.MultiheadAttention` and `F.scaled_dot_product_attention`.

Ratios are peer time / our time, so above 1 is faster. Both sides compute the same numbers from the same weights.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
from timing import compare, report

from mmcourse.attention import MultiHeadAttention, fused_attention, padding_mask
from mmcourse.runtime import device

MODULES = [(8, 64, 128, 4), (32, 64, 128, 4), (4, 256, 256, 8), (2, 1024, 384, 6)]  # batch, tokens, width, heads
FUNCTIONS = [(8, 4, 64, 32), (4, 8, 256, 32), (2, 6, 1024, 64)]  # batch, heads, tokens, head size


def backward(function, x):
    """A call that runs `function` and its backward pass down to `x` and every weight."""

    def run():
        leaf = x.detach().requires_grad_()
        function(leaf).sum().backward()

    return run


def modules(where):
    for batch, tokens, width, heads in MODULES:
        theirs = nn.MultiheadAttention(width, heads, batch_first=True, device=where)
        ours = MultiHeadAttention.from_torch(theirs)
        x = torch.randn(batch, tokens, width, device=where)

        def peer(y, theirs=theirs):
            return theirs(y, y, y, need_weights=False)[0]

        size = f"{batch}×{tokens}×{width}, {heads} heads"
        yield f"forward              {size}", lambda: ours(x), lambda: peer(x), 1.0  # noqa: B023  used at once
        yield f"forward and backward {size}", backward(ours, x), backward(peer, x), 1.0
        ours.eval()
        theirs.eval()
        no_grad = torch.no_grad()
        yield f"forward, no gradient {size}", no_grad(lambda: ours(x)), no_grad(lambda: peer(x)), 1.0  # noqa: B023


def functions(where):
    for shape in FUNCTIONS:
        q, k, v = torch.randn(3, *shape, device=where)
        mask = padding_mask([shape[2] * 3 // 4] * shape[0]).to(where)
        mask = F.pad(mask, (0, shape[2] - mask.shape[1]))[:, None, None, :]
        size = "×".join(map(str, shape))
        for kind, ours, theirs in [
            ("plain ", {}, {}),
            ("causal", {"causal": True}, {"is_causal": True}),
            ("masked", {"mask": mask}, {"attn_mask": mask}),
        ]:

            def mine(q=q, k=k, v=v, ours=ours):
                return fused_attention(q, k, v, **ours)

            def peer(q=q, k=k, v=v, theirs=theirs):
                return F.scaled_dot_product_attention(q, k, v, **theirs)

            yield f"fused, {kind}        {size}", mine, peer, 0.95
            if kind == "plain ":
                yield (
                    f"fused with backward  {size}",
                    backward(lambda y, k=k, v=v: fused_attention(y, k, v), q),
                    backward(lambda y, k=k, v=v: F.scaled_dot_product_attention(y, k, v), q),
                    0.95,
                )


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2.0, help="how long to time each pair")
    seconds = options.parse_args().seconds
    where = device()
    torch.manual_seed(0)
    print(f"attention on {where.type} with {torch.get_num_threads()} threads, ratio = peer time / our time")
    for title, cases in (("nn.MultiheadAttention", modules), ("F.scaled_dot_product_attention", functions)):
        print(f"\nagainst {title:<49} ours        peer    ratio  [middle half]")
        for name, ours, peer, target in cases(where):
            torch.testing.assert_close(ours(), peer(), rtol=1e-4, atol=1e-4)
            report(name, compare(ours, peer, seconds=seconds), target=target)


if __name__ == "__main__":
    main()
