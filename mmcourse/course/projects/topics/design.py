"""Design: signs that are too faint."""

from mmcourse.course.projects.project import Look, Need, Project

# Black at 45 % on white has a contrast of 3.3 : 1 and at 35 % of 2.4 : 1; WCAG asks for 3 : 1. Nothing stands between.
STRONG, FAINT = (0.45, 1.0), (0.12, 0.35)
SIGNS = (
    "black star", "black hexagon", "black pentagon", "power symbol", "black chess knight", "black chess rook",
    "white hexagon", "stick figure", "circle with left half black", "black octagon",
)  # fmt: skip

PROJECT = Project(
    name="design",
    title="Signs that everybody sees",
    about="which signs of an app are too faint for weak eyes; a rule with a number, so a model can be held to it",
    question="Is the contrast of this sign high enough?",
    reader="designers who check hundreds of screens before a release",
    kind="classify",
    unit="screen",
    backgrounds=("white",),
    looks=(
        Look("readable", SIGNS, "{a_thing} that stands out from white", "a strong dark black sign", ink=STRONG),
        Look("faint", SIGNS, "{a_thing} that hardly stands out from white", "a pale faint gray sign", ink=FAINT),
    ),
    prices={("faint", "readable"): 5.0},
    ask=0.5,
    dear="A faint sign that is called readable: who cannot see it cannot report it.",
    needs={
        "data": Need(
            "Screens as they are, with pictures behind the signs, and where a number can be computed, the computation: "
            "contrast has a formula, and needs no learning where the colors are known.",
            "WCAG 2.2, definition of contrast ratio",
        ),
        "consent": Need(
            "Screens of real users show their messages and names. Test data is made without them, or there is a legal "
            "ground for it, such as their consent.",
            "Regulation (EU) 2016/679 (GDPR), Articles 5(1)(c) and 6(1)",
        ),
        "error costs": Need(
            "Parts of graphics that are needed to understand a page must have a contrast of at least 3 : 1 with what "
            "is beside them. A sign that meets it may still not be understood; people who need it have to be asked.",
            "WCAG 2.2, success criterion 1.4.11",
        ),
        "regulation": Need(
            "Since 28 June 2025 many services to consumers, online shops and banks among them, have to be accessible; "
            "the smallest firms that offer services are exempt.",
            "Directive (EU) 2019/882 (European Accessibility Act), Articles 2(2), 4(5) and 31(2)",
        ),
    },
)
