"""What is refused as text: other types, one text where several belong, and halves of characters."""

from __future__ import annotations

from collections.abc import Iterable


def several_texts(texts: Iterable[str]) -> list[str]:
    """A list of texts; one lone str is an error, because its characters would be taken for texts."""
    if isinstance(texts, str):
        raise TypeError(f"texts must be several texts, got one str; write [{texts[:20]!r}]")
    texts = list(texts)
    wrong = next((text for text in texts if not isinstance(text, str)), "")
    if not isinstance(wrong, str):
        raise TypeError(f"texts must hold str only, got {type(wrong).__name__} among them")
    for text in texts:
        check_characters(text)
    return texts


def check_characters(text: str) -> None:
    """Raises a ValueError for half of a surrogate pair, which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ValueError(f"text holds {half!r} at {error.start}, half of a surrogate pair; remove it") from None
