"""Compares a learner's result with the right one and says in a sentence where they part."""

from __future__ import annotations

import functools
import numbers
from typing import Any

import numpy as np
import torch


def difference(
    got: Any, expected: Any, *, rtol: float = 1e-5, atol: float = 1e-6, nan_equal: bool = False
) -> str | None:
    """None if `got` equals `expected` in structure, shape, kind of number and value; otherwise the first difference.

    What converts exactly to the asked value is as good: a number, a NumPy scalar or array, or a list of numbers for a
    tensor, and the other way round. Tensors of float32 and float64 are of one kind, those of whole numbers of another.
    NaN equals nothing (unless `nan_equal`, which recognises mistakes).

    >>> difference(torch.zeros(2, 3), torch.zeros(3, 2))
    'the shape is (2, 3), expected (3, 2): are the axes swapped?'
    """
    found = _difference(got, expected, rtol, atol, nan_equal)
    if found is None:
        return None
    place, text = found
    return f"{place}: {text}" if place else text


def clone(value: Any) -> Any:
    """A copy of the arguments, so that an answer that changes them cannot spoil the next run."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad) if value.is_leaf else value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(clone(item) for item in value))
    if isinstance(value, (list, tuple, set)):
        return type(value)(clone(item) for item in value)
    return value


def changed_argument(got: tuple, expected: tuple) -> str | None:
    """Says which argument an answer changed in place, where the right one leaves it alone."""
    for number, (left, right) in enumerate(zip(got, expected, strict=True), start=1):
        if isinstance(right, (torch.Tensor, np.ndarray, list, tuple, dict, set)):
            same = _difference(left, right, 0.0, 0.0, True) is None
            if not same:
                return (
                    f"the result is right, but argument {number} was changed in place: make a new tensor instead "
                    "(`x = x + y`, not `x += y`), because the caller still needs the old one"
                )
    return None


def _difference(got: Any, expected: Any, rtol: float, atol: float, nan: bool) -> tuple[str, str] | None:
    """The place inside the structure and what differs there, or None."""
    if got is None and expected is not None:
        return "", "it returns None: is a `return` missing?"
    if isinstance(expected, (torch.Tensor, np.ndarray)):
        return _arrays(got, expected, rtol, atol, nan)
    if isinstance(expected, bool) or expected is None or isinstance(expected, str):
        return _exact(got, expected)
    if isinstance(expected, numbers.Number):
        return _numbers(got, expected, rtol, atol, nan)
    if isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            shown = f"the keys {sorted(map(str, got))}" if isinstance(got, dict) else _kind(got)
            return "", f"expected a dict with the keys {sorted(map(str, expected))}, got {shown}"
        pairs = [(f"[{key!r}]", got[key], expected[key]) for key in expected]
    elif isinstance(expected, (list, tuple)):
        if isinstance(got, (torch.Tensor, np.ndarray)) and got.ndim and not _holds_arrays(expected):
            got = got.tolist()
        if not isinstance(got, (list, tuple)):
            return "", f"expected {len(expected)} values in a {_kind(expected)}, got {_kind(got)}"
        if len(got) != len(expected):
            return "", f"expected {len(expected)} values, got {len(got)}"
        names = getattr(expected, "_fields", range(1, len(expected) + 1))
        pairs = [(f"value {name}", *pair) for name, *pair in zip(names, got, expected, strict=True)]
    else:
        same = type(got) is type(expected) and bool(expected == got)
        return None if same else ("", f"expected {_kind(expected)}, got a different {_kind(got)}")
    for place, left, right in pairs:
        found = _difference(left, right, rtol, atol, nan)
        if found is not None:
            return f"{place}{', ' if found[0] else ''}{found[0]}", found[1]
    return None


def _exact(got: Any, expected: Any) -> tuple[str, str] | None:
    if isinstance(got, (torch.Tensor, np.ndarray, np.generic)) and got.ndim == 0:
        got = got.item()
    if type(got) is type(expected) and got == expected:
        return None
    return "", f"expected {_short(expected)}, got {_short(got)}"


def _numbers(got: Any, expected: Any, rtol: float, atol: float, nan: bool) -> tuple[str, str] | None:
    """A plain number; a tensor or NumPy value that holds a single number is as good."""
    if isinstance(got, (torch.Tensor, np.ndarray)) and got.ndim == 0:
        got = got.item()
    if isinstance(got, (bool, np.bool_)) or not isinstance(got, numbers.Number):
        return "", f"expected a number, got {_kind(got)}"
    both_nan = got != got and expected != expected
    if got == expected or (nan and both_nan) or (not both_nan and abs(got - expected) <= atol + rtol * abs(expected)):
        return None
    return "", "got {}, which is not the expected number".format(*_figures(got, expected))


def _arrays(got: Any, expected: Any, rtol: float, atol: float, nan: bool) -> tuple[str, str] | None:
    typed = isinstance(got, (torch.Tensor, np.ndarray))  # Python's numbers and lists of them have no type to be wrong
    given, asked, got = _kind(got), _kind(expected), _tensor(got, expected.ndim)
    if got is None or (not typed and got.ndim == 0 and expected.ndim > 0):
        return "", f"expected {asked}, got {given}"
    expected = _tensor(expected, expected.ndim)
    if got.shape != expected.shape:
        swapped = sorted(got.shape) == sorted(expected.shape)
        advice = ": are the axes swapped?" if swapped else ""
        return "", f"the shape is {tuple(got.shape)}, expected {tuple(expected.shape)}{advice}"
    kinds = {_dtype_kind(got), _dtype_kind(expected)}
    if not typed and kinds == {"whole", "floating-point"}:
        rtol, atol = (rtol, atol) if _dtype_kind(expected) == "floating-point" else (0.0, 0.0)
    elif len(kinds) > 1:
        ours, theirs = str(got.dtype).removeprefix("torch."), _dtype_kind(expected)
        return "", f"the values are {ours}, expected {theirs} numbers".replace("true-or-false numbers", "true or false")
    wide = torch.complex128 if got.is_complex() else torch.float64
    got, expected = got.to(wide), expected.to(wide)
    wrong = ~torch.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=nan)
    return ("", _where(got, expected, wrong)) if wrong.any() else None


def _tensor(value: Any, depth: int) -> torch.Tensor | None:
    """A number, an array, or lists of them, at most `depth` inside each other, as a tensor; None for anything else."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, (list, tuple)):
        rows = [_tensor(row, depth - 1) for row in value] if depth > 0 else [None]
        if any(row is None or row.shape != rows[0].shape for row in rows):
            return None
        dtype = functools.reduce(torch.promote_types, (row.dtype for row in rows), torch.bool)
        return torch.stack([row.to(dtype) for row in rows]) if rows else torch.zeros(0)
    if not isinstance(value, (numbers.Number, np.generic, np.ndarray)):
        return None
    try:
        return torch.from_numpy(np.array(value, order="C"))
    except (TypeError, ValueError):  # text, a fraction, or a whole number that no array holds
        return None


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_arrays(item) for item in value)
    return isinstance(value, (torch.Tensor, np.ndarray, dict))


def _where(got: torch.Tensor, expected: torch.Tensor, wrong: torch.Tensor) -> str:
    """How many numbers differ, where the largest difference is, and whether a single factor explains all."""
    count, total = int(wrong.sum()), wrong.numel()
    gap = torch.where(wrong, (got - expected).abs(), torch.zeros(()).double())
    gap = torch.nan_to_num(gap, nan=torch.inf)
    place = [int(i) for i in np.unravel_index(int(gap.argmax()), tuple(gap.shape))]
    left, right = _figures(got[tuple(place)].item(), expected[tuple(place)].item())
    at = f" at {place}" if place else ""
    if not got.is_complex():
        if got.isnan().any() and not expected.isnan().any():
            return f"{int(got.isnan().sum())} of {total} numbers are NaN, the first{at}"
        factor = _factor(got, expected)
        if factor is not None:
            return f"every number is {factor:.3g} times what it should be"
    if total == 1:
        return f"got {left}, expected {right}"
    return f"{count} of {total} numbers differ, most of all{at}: got {left}, expected {right}"


def _factor(got: torch.Tensor, expected: torch.Tensor) -> float | None:
    used = expected.abs() > 1e-6
    if int(used.sum()) < 2 or not (got.isfinite().all() and expected.isfinite().all()):
        return None
    ratio = (got[used] / expected[used]).median()
    telling = abs(ratio) > 1e-6 and abs(ratio - 1) > 0.01
    return ratio.item() if telling and torch.allclose(got, ratio * expected, rtol=1e-4, atol=1e-6) else None


def _figures(left: Any, right: Any) -> tuple[str, str]:
    """Both numbers with as few digits as tell them apart, whole numbers in full."""
    if all(isinstance(number, numbers.Integral) for number in (left, right)):
        return str(left), str(right)
    texts = f"{left:.3g}", f"{right:.3g}"
    return (f"{left:.8g}", f"{right:.8g}") if texts[0] == texts[1] else texts


def _dtype_kind(value: torch.Tensor) -> str:
    if value.dtype == torch.bool:
        return "true-or-false"
    if value.is_complex():
        return "complex"
    return "floating-point" if value.is_floating_point() else "whole"


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, (bool, str)):
        return f"the {'text' if isinstance(value, str) else 'truth value'} {_short(value)}"
    if isinstance(value, (list, tuple)):
        return type(value).__name__
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _short(value: Any) -> str:
    if not isinstance(value, (str, bool, int, float, type(None))):
        return _kind(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
