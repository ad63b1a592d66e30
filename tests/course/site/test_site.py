"""The course as a site: what every page must have, and what nothing may need."""

import base64
import io
import itertools
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import nbformat
import pytest
from PIL import Image

from mmcourse.content import content_dir
from mmcourse.course import cli
from mmcourse.course.errors import CourseError
from mmcourse.course.exercises import ids
from mmcourse.course.site import pages
from mmcourse.course.site.chapter import chapter_page
from mmcourse.course.site.markdown import Page, escaped, inline_formula, python
from mmcourse.course.site.write import LIST, site_files, write_site

LIMIT = 3_000_000  # bytes of a page with its pictures
LOADING = {"src", "srcset", "poster", "data"}  # attributes whose address a browser fetches by itself
AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Elements(HTMLParser):
    """The elements of a page, (name, attributes), and the text of its links; raises for one that is left open."""

    VOID = frozenset(["meta", "link", "img", "br", "hr", "input", "path", "circle"])

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.links = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "a":
            self.links.append([dict(attrs), ""])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}>"

    def handle_data(self, data):
        if "a" in self.open:
            self.links[-1][1] += data

    def all(self, *tags):
        return [attrs for tag, attrs in self.found if tag in tags]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two chapters with all that chapters hold: formulas, tables, sliders, questions, figures, exercises."""
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, ["01", "06"])
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write_site(folder)
    return folder


def texts(folder):
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.html"))}


def problems(pages, folder):
    """One line for each thing that a reader would miss on a page of this site."""
    found = {name: Elements(text) for name, text in pages.items()}
    anchors = {name: [attrs["id"] for _, attrs in page.found if "id" in attrs] for name, page in found.items()}
    for name, page in found.items():
        lines = [*structure(page), *loads(page), *targets(page, name, anchors, folder)]
        lines += [f"the name {one} twice" for one in set(anchors[name]) if anchors[name].count(one) > 1]
        size = len(pages[name].encode()) + sum(
            (folder / one).stat().st_size for one in {one["src"] for one in page.all("img")} if (folder / one).is_file()
        )
        lines += [f"{size} bytes"] if size > LIMIT else []
        yield from (f"{name}: {line}" for line in lines)


def structure(page):
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    if levels[:1] != [1] or levels.count(1) != 1:
        yield f"headings {levels}"
    yield from (f"h{b} after h{a}" for a, b in itertools.pairwise(levels) if b > a + 1)
    if page.all("html")[0].get("lang") != "en":
        yield "no language"
    yield from (f"{len(page.all(tag))} × {tag}" for tag in ("main", "header", "footer") if len(page.all(tag)) != 1)
    yield from (f"no text for {one}" for one in page.all("img") if not one.get("alt", "").strip())
    yield from ("a sound without a name" for one in page.all("audio") if not one.get("aria-label"))
    for attrs, text in page.links:
        if not (text.strip() or attrs.get("aria-label")):
            yield f"a link without a name to {attrs['href']}"


def loads(page):
    """What a browser would fetch from elsewhere, or run."""
    for tag, attrs in page.found:
        for key in LOADING & set(attrs):
            if re.match(r"\w+:|//", attrs[key]) and not attrs[key].startswith("data:audio/"):  # that is in the page
                yield f"loads {attrs[key]}"
        if tag in ("script", "iframe", "object", "embed", "base") or any(key.startswith("on") for key in attrs):
            yield f"a {tag} with {attrs}"
    yield from (f"loads {one['href']}" for one in page.all("link") if one["href"] not in ("style.css", "data:,"))


def targets(page, name, anchors, folder):
    for target in [one["href"] for one in page.all("a")] + [one.get("src", "") for one in page.all("img")]:
        path, _, anchor = unquote(target).partition("#")
        if "://" not in target and (
            not (folder / (path or name)).is_file() or (anchor and anchor not in anchors[path or name])
        ):
            yield f"{target} leads nowhere"


def test_nothing_is_missing_for_a_reader(site):
    assert list(problems(texts(site), site)) == []
    assert len(texts(site)) == 7


@pytest.mark.slow
@pytest.mark.exhaustive
def test_nothing_is_missing_in_any_chapter(whole):
    assert list(problems(texts(whole), whole)) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({'alt="': 'title="'}, "no text for"),
        ({"<h2>In words</h2>": "<h4>In words</h4>"}, "map.html: h4 after h1"),
        ({"<h2>In words</h2>": "<h1>In words</h1>"}, "map.html: headings [1, 1]"),
        ({'href="01_attention.html"': 'href="01_gone.html"'}, "01_gone.html leads nowhere"),
        ({"01_attention.html#figure-1": "01_attention.html#figure-999"}, "#figure-999 leads nowhere"),
        ({'src="pictures/01-1.png"': 'src="https://example.org/1.png"'}, "loads https://example.org/1.png"),
        ({'href="style.css"': 'href="https://example.org/style.css"'}, "loads https://example.org/style.css"),
        ({'<main id="text">': '<main id="text"><p id="text"></p>'}, "the name text twice"),
        ({' lang="en"': ""}, "no language"),
        ({">Map</a>": "></a>"}, "a link without a name to map.html"),
        ({"</main>": "<script></script></main>"}, "a script with"),
        ({"</main>": "x" * LIMIT + "</main>"}, "bytes"),
    ],
)
def test_what_is_missing_is_seen(site, changes, problem):
    changed = texts(site)
    for good, bad in changes.items():
        assert any(good in text for text in changed.values())
        changed = {name: text.replace(good, bad) for name, text in changed.items()}
    assert any(problem in line for line in problems(changed, site))


def test_the_figures_and_exercises_are_all_in_their_lists(site):
    found = texts(site)
    for number, name in (("01", "01_attention"), ("06", "06_fusion_by_mlp")):
        notebook = nbformat.read(content_dir("chapters") / "solutions" / f"{name}.ipynb", as_version=4)
        shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        shown = [output for output in shown if output.get("data", {}).get("text/plain", "").startswith("[figure:")]
        assert found["figures.html"].count(f'"{name}.html#figure-') == len(shown) > 5
        assert set(re.findall(rf'"{name}\.html#exercise-({number}-[\w-]+)"', found["exercises.html"])) >= set(
            ids(number)
        )


def test_answers_are_folded_and_widgets_are_a_sentence(site):
    text = texts(site)["01_attention.html"]
    assert "BEGIN SOLUTION" not in text
    for one in ids("01"):
        assert f"<summary>An answer to <code>{one}</code></summary>" in text
    assert "Left out on this page: controls: factor; they move the figure while the notebook runs." in text
    assert "it/s]" not in text


def png(width=30, height=20):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 99 · T"), *cells])


def shown(data, **metadata):
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata=metadata)]
    return chapter_page("99_t", notebook(cell), {})


def test_a_picture_keeps_its_shape_and_its_text():
    data = {"image/png": png(), "text/plain": "[figure: Two <dots>.]"}
    page = shown(data, **{"image/png": {"alt": 'Two <dots> & "more".', "width": 15}})
    assert 'alt="Two &lt;dots&gt; &amp; &quot;more&quot;." width="15" height="10"' in page.body
    assert page.figures == (("figure-1", 1, 'Two <dots> & "more".'),)
    assert list(page.pictures) == ["pictures/99-1.png"]
    with pytest.raises(ValueError, match="a picture of chapter 99 has no text alternative"):
        shown(data)


def test_sounds_have_names():
    player = "<audio controls><source src='data:audio/wav;base64,AA'></audio>"
    body = shown({"text/html": player + player}).body
    assert re.findall(r'<audio aria-label="(.+?)" controls>', body) == ["Sound 99.1", "Sound 99.2"]


def test_results_wear_classes_and_what_is_hidden_stays_hidden():
    page = shown({"text/html": '<div style="border-left:4px solid #009E73;x"><b>$x$</b> <code>$y$</code></div>'})
    assert '<div class="right"><b><math><mi>x</mi></math></b> <code>$y$</code></div>' in page.body
    hidden = nbformat.v4.new_markdown_cell("A secret.", metadata={"tags": ["hidden"]})
    assert "secret" not in chapter_page("99_t", notebook(hidden), {}).body


def test_links_headings_and_languages():
    page = Page({"01_a.ipynb": "01_a.html"})
    assert 'href="01_a.html#x"' in page.rendered("[a](01_a.ipynb#x)")
    assert page.rendered("[gone](02_b.ipynb)") == "<p>gone</p>\n"
    page.rendered("## What now?\n\n## What now?")
    assert [section.name for section in page.sections] == ["what-now", "what-now-2"]
    assert page.rendered("<eos> & $a<b$").startswith("<p>&lt;eos&gt; &amp; <math>")
    assert escaped("key（键）") == 'key<span lang="zh">（键）</span>'
    assert "<td></td>" in page.rendered("| | b |\n|---|---|\n| 1 | 2 |")
    assert 'display="block"' in page.rendered("so\n$$\nx\n= y\n$$\n")
    assert "tabindex" not in inline_formula("x = y")
    assert "tabindex" in inline_formula("a+b+c+d+e+f+g+h+i+j+k+l+m")
    assert python("def f(): pass").count("<span") == 3


def test_the_syllabus_holds_the_chapters_of_the_site():
    table = "| | chapter | by hand |\n|---|---|---|\n| 00 | [A](00_a.ipynb) | x |\n| 01 | [B](01_b.ipynb) | y |"
    cut = pages.syllabus_of(f"Text.\n\n{table}\n\nMore.", {"00_a.ipynb": "00_a.html"})
    assert cut == "| | chapter | by hand |\n|---|---|---|\n| 00 | [A](00_a.ipynb) | x |"
    assert pages.syllabus_of("None.", {}) == ""


@pytest.fixture
def tiny(tmp_path):
    home = tmp_path / "chapters"
    (home / "solutions").mkdir(parents=True)
    for name in ("01_a", "02_b"):
        nbformat.write(notebook(), home / "solutions" / f"{name}.ipynb")
    return home


def test_a_site_is_written_again_and_nothing_else_is_touched(tiny, tmp_path):
    folder = tmp_path / "site"
    assert len(write_site(folder, chapters_dir=tiny, exercises={})) == 7
    assert len(write_site(folder, ["1"], chapters_dir=tiny, exercises={})) == 6
    assert not (folder / "02_b.html").exists()
    (folder / "mine.txt").write_text("mine")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(CourseError, match=r"site holds mine\.txt, which is no part of a site"):
        write_site(folder, chapters_dir=tiny, exercises={})
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_list_of_somebody_else_is_no_site(tiny, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LIST).write_text("a\nb\n")
    with pytest.raises(CourseError, match=f"holds {LIST}"):
        write_site(tmp_path / "other", chapters_dir=tiny, exercises={})


def test_a_mistake_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert cli.main(["site", str(tmp_path / "file")]) == 2
    assert "file is a file; name a folder that is new or empty" in capsys.readouterr().err
    assert cli.main(["site", str(tmp_path / "new"), "--chapters", "77"]) == 2
    assert "there is no solved chapter '77'; the solved chapters are: 00, 01" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_same_notebooks_give_the_same_bytes(tiny):
    solved = sorted((tiny / "solutions").glob("*.ipynb"))
    assert site_files(tiny, solved, {}) == site_files(tiny, solved, {})


def luminance(color):
    """WCAG 2.2, relative luminance."""
    channels = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_ink_can_be_read_on_every_paper(site):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    css = (site / "style.css").read_text("utf-8")
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(schemes) == 2
    assert set(schemes[0]) == set(schemes[1])
    for scheme in schemes:
        pairs = [(ink, paper) for ink in scheme for paper in scheme if ink[:3] == "ink" and paper[:5] == "paper"]
        assert len(pairs) == 30
        assert [pair for pair in pairs if contrast(*map(scheme.get, pair)) < 4.5] == []
    rules = re.sub(r":root \{.*?\}", "", css, flags=re.DOTALL)
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) == {"#ffffff"}, (
        "other colors are named above, with their contrast"
    )
    assert not re.search(r"url\(|@import|outline:\s*(?:none|0)|opacity", css)


def violations(browser, folder, names, *, width, scheme="light"):
    """What axe-core, with every fold open, finds against WCAG 2.2 A and AA; and what is wider than the screen."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install -e '.[test]' brings axe-playwright-python"
    ).Axe()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for name in names:
        page.goto((folder / name).as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            yield f"{name} at {width}: wider than the screen"
        options = {"preload": False, "resultTypes": ["violations"], "runOnly": {"type": "tag", "values": AA}}
        found = axe.run(page, options=options).response["violations"]
        yield from (f"{name} at {width}, {scheme}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found)
    context.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1400])
def test_the_accessibility_checker_finds_nothing(browser, site, width):
    names = ["index.html", "map.html", "exercises.html", "figures.html", *["01_attention.html"][: width == 390]]
    assert list(violations(browser, site, names, width=width)) == []


@pytest.mark.browser
@pytest.mark.slow
def test_what_the_accessibility_checker_finds_at_all(browser, site, tmp_path):
    text = (site / "map.html").read_text("utf-8").replace(' lang="en"', "").replace('role="img" ', "")
    style = "<style>p, h1 { color: #bbbbbb } h1 { width: 999px }</style>"
    (tmp_path / "map.html").write_text(text.replace("</main>", f"{style}<a href='x'></a></main>"), "utf-8")
    said = " ".join(violations(browser, tmp_path, ["map.html"], width=390))
    for word in ("wider than the screen", "lang attribute", "contrast", "Links must have discernible text"):
        assert word in said


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_accessibility_checker_finds_nothing_on_any_page(browser, whole, width, scheme):
    assert list(violations(browser, whole, sorted(texts(whole)), width=width, scheme=scheme)) == []
