"""Formulas as MathML: each form by hand, and every formula of the course."""

import doctest
import re
import sys
from xml.etree import ElementTree

import nbformat
import pytest

from mmcourse.content import content_dir
from mmcourse.course.site.mathml import mathml


def inner(tex):
    return re.sub(r"^<math>|</math>$", "", mathml(tex))


def test_the_docstring():
    assert doctest.testmod(sys.modules["mmcourse.course.site.mathml"]) == (0, 1)


@pytest.mark.parametrize(
    ("tex", "xml"),
    [
        ("p_{n,t_n}", "<msub><mi>p</mi><mrow><mi>n</mi><mo>,</mo><msub><mi>t</mi><mi>n</mi></msub></mrow></msub>"),
        ("x_i^2", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>"),
        ("x^2_i", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>"),
        ("K'", "<msup><mi>K</mi><mo>′</mo></msup>"),
        (r"\frac12", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"),
        (r"\frac1N", "<mfrac><mn>1</mn><mi>N</mi></mfrac>"),
        ("0.07", "<mn>0.07</mn>"),
        (r"\sqrt d", "<msqrt><mi>d</mi></msqrt>"),
        (r"\hat y", '<mover accent="true"><mi>y</mi><mo stretchy="false">^</mo></mover>'),
        (r"\mathbb R^T", '<msup><mi mathvariant="normal">ℝ</mi><mi>T</mi></msup>'),
        (r"\text{a < b}", "<mtext>a\u00a0&lt;\u00a0b</mtext>"),
        (r"\sum_i", "<munder><mo>∑</mo><mi>i</mi></munder>"),
        (r"\int_0^1", "<msubsup><mo>∫</mo><mn>0</mn><mn>1</mn></msubsup>"),
        ("-x", '<mrow><mo form="prefix">−</mo><mi>x</mi></mrow>'),
        ("a-x", "<mrow><mi>a</mi><mo>−</mo><mi>x</mi></mrow>"),
        (r"\textstyle x", '<mstyle displaystyle="false"><mi>x</mi></mstyle>'),
    ],
)
def test_by_hand(tex, xml):
    assert inner(tex) == xml


def test_what_aligned_writes():
    table = ElementTree.fromstring(mathml(r"\begin{aligned} a &= b \\ &= c && \text{why} \\ \end{aligned}"))[0]
    assert [len(row) for row in table] == [2, 4]
    assert "".join(table[1].itertext()) == "=cwhy"


@pytest.mark.parametrize(
    ("tex", "words"),
    [
        (r"\wrong x", r"tex holds \\wrong, which is not known here"),
        (r"\begin{cases}\end{cases}", "tex holds the environment 'cases'"),
        ("{x", "tex lacks '}' before None"),
        ("x}", "tex has '}' without its partner"),
        (r"\frac1", "tex ends too early"),
        (r"\left(x", r"tex lacks '\\\\right' before None"),
    ],
)
def test_what_cannot_be_set_is_said(tex, words):
    with pytest.raises(ValueError, match=words):
        mathml(tex)


def formulas():
    for path in sorted((content_dir("chapters") / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                text = re.sub(r"```.*?```|`[^`\n]*`", "", cell.source, flags=re.DOTALL)
                yield from (one or two for one, two in re.findall(r"\$\$([^$]+)\$\$|\$([^$\n]+)\$", text))


def test_every_formula_of_the_course_is_set_and_loses_no_letter_or_number():
    found = list(formulas())
    assert len(found) > 400
    for tex in found:
        element = ElementTree.fromstring(mathml(tex).replace("&#x2061;", ""))
        said = "".join(element.itertext())
        plain = re.sub(r"\\(?:begin|end)\{\w+\}", "", tex)
        words = re.findall(r"\\(?:text|mathrm|operatorname)\{([^{}]*)\}", plain)
        symbols = re.sub(r"\\(?:text|mathrm|operatorname)\{[^{}]*\}|\\math(?:bb|cal)\s*\w|\\[A-Za-z]+|\\.", "", plain)
        for word in words:
            assert word.replace(" ", "\u00a0") in said, tex
        for sign in set(re.findall(r"[A-Za-z0-9]", symbols)):
            assert said.count(sign) >= symbols.count(sign), (tex, sign)
