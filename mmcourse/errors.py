"""How errors look that say in one sentence what happened and what to do."""

from __future__ import annotations


class OneSentence:
    """Beside the class of an exception: a notebook shows its name and its sentence, and no traceback.

    >>> class ColorError(OneSentence, ValueError):
    ...     pass
    >>> ColorError("no such color: 'bleu'")._render_traceback_()
    ["ColorError: no such color: 'bleu'"]
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]
