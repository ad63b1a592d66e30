"""Terms that the sources mark, and the page they make."""

import pytest

from mmcourse.course.author.glossary import collect, glossary_text, terms_of
from mmcourse.course.author.source import BuildError, Cell, Chapter


def chapter(*texts, name="01_attention"):
    cells = tuple(Cell(kind="markdown", source=text, id=f"{name[:2]}-{n}") for n, text in enumerate(texts))
    return Chapter(name=name, cells=cells, text="")


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        ("**attention**（注意力）: a weighted average. It costs.", "A weighted average."),
        ("We meet **attention**（注意力）, a weighted\naverage of values.", "A weighted average of values."),
        ("**attention**（注意力） is a weighted average.", "A weighted average."),
        ("**attention**（注意力）: at most 0.5 of it, e.g. a half. More.", "At most 0.5 of it, e.g. a half."),
        ("- **attention**（注意力）: one.\n- another point.", "One."),
        ("**attention**（注意力）: softmax of $a|b$ (a row.)", "Softmax of $a|b$ (a row."),
    ],
)
def test_explanation_ends_at_the_first_full_stop(text, definition):
    (term,) = terms_of(chapter("# Title", text))
    assert (term.english, term.chinese, term.definition) == ("attention", "注意力", definition)
    assert term.place == "01_attention, cell 01-1"


def test_several_terms_in_one_text_cell():
    terms = terms_of(chapter("**query**（查询）: it asks. **key**（键）: it answers.\n\n**value**（值）: it is given."))
    assert [(term.english, term.definition) for term in terms] == [
        ("query", "It asks."),
        ("key", "It answers."),
        ("value", "It is given."),
    ]


def test_bold_words_and_code_cells_are_no_terms():
    code = Cell(kind="code", source="# **attention**（注意力）: x.", id="a")
    assert terms_of(Chapter(name="01_a", cells=(code,), text="")) == []
    assert terms_of(chapter("**bold** and **more** (aside): text.")) == []


@pytest.mark.parametrize(
    "text",
    [
        "**attention**（注意力）",
        "**attention**（注意力）.",
        "**attention**（注意力） weighs.",
        "**attention**（注意力）: no full stop",
        "**attention**（注意力）, **key**（键） and so on.",
    ],
)
def test_term_without_explanation_is_named(text):
    with pytest.raises(BuildError, match=r"01_attention, cell 01-0: the term 'attention' is marked without"):
        terms_of(chapter(text))


def test_term_marked_twice_names_both_places():
    first = chapter("**Attention**（注意力）: one.")
    second = chapter("text", "**attention**（注意力）: two.", name="07_fusion")
    with pytest.raises(BuildError, match="twice, in 01_attention, cell 01-0 and in 07_fusion, cell 07-1; mark it only"):
        collect([first, second])


def test_page_is_sorted_and_keeps_bars_in_their_cell():
    terms = collect(
        [chapter("**value**（值）: b."), chapter("**Attention**（注意力）: $a|b$ of **key**.", name="02_entropy")]
    )
    assert glossary_text(terms).splitlines()[-4:] == [
        "| English | 中文 | Meaning | Chapter |",
        "|---|---|---|---|",
        "| Attention | 注意力 | $a\\|b$ of **key**. | [02](02_entropy.ipynb) |",
        "| value | 值 | B. | [01](01_attention.ipynb) |",
    ]
