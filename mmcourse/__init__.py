"""mmcourse: a small, tested library beside a course on how language models and vision meet.

Modules stand on floors and import only from the floors below (`tests/test_floors.py` says which):
0 runtime, cache, content (and files below it) · 1 attention, pooling, losses, metrics, tokenizer, decoding ·
2 transformer, datasets · 3 encoders, lm, fusion · 4 models · 5 train · 6 recipes · 7 viz · 8 widgets ·
and apart from them `course`, the engine behind the notebooks, which the library never imports.
"""

__version__ = "0.1.0"
