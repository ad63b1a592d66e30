"""Museum: objects of a collection by a sentence."""

from mmcourse.course.projects.project import Look, Need, Project

THINGS = (
    "amphora", "moai", "crown", "shield", "violin", "scroll", "crossed swords", "bow and arrow", "abacus",
    "compass", "telescope", "candle", "diya lamp", "harp", "accordion", "kimono", "sari", "folding hand fan",
    "nesting dolls", "teapot", "jar", "treasure chest", "coin", "prayer beads", "framed picture", "chess pawn",
    "mantelpiece clock", "hourglass done", "old key", "carousel horse", "military helmet", "ballet shoes",
    "banjo", "drum", "flute", "maracas", "Japanese dolls", "red paper lantern", "gem stone", "dagger", "anchor",
    "canoe", "alembic", "film projector", "camera", "magnifying glass tilted left", "necktie",
)  # fmt: skip

PROJECT = Project(
    name="museum",
    title="The collection by a sentence",
    about="which object of a collection a visitor's sentence means; and who has a say in what is shown",
    question="Which object of the collection does this sentence describe?",
    reader="the visitors of a museum that has put its depot online",
    kind="find",
    unit="object",
    backgrounds=("ivory", "gainsboro", "lightsteelblue", "tan"),
    looks=(
        Look(
            "",
            THINGS,
            "{thing}, photographed in front of {color}",
            "",
        ),
    ),
    dear="An object that is found only under a name which the people it comes from do not use.",
    needs={
        "data": Need(
            "Objects as they are photographed in this house. Classifiers that learned from photographs do find things "
            "in paintings; how well they find yours has to be measured on yours.",
            "Crowley and Zisserman, In search of art, ECCV workshops, 2014",
        ),
        "consent": Need(
            "Indigenous peoples claim a say in data about them, such as pictures of what comes from them. Their "
            "principles are collective benefit, authority to control, responsibility and ethics.",
            "Carroll et al., The CARE principles for indigenous data governance, Data Science Journal, 2020",
        ),
        "error costs": Need(
            "An object that should not be there, or not be shown, does harm beyond a bad search; a museum owes care "
            "about where things come from, and about showing human remains and what is sacred.",
            "ICOM Code of ethics for museums, as revised in 2004, sections 2.3 and 4.3",
        ),
        "regulation": Need(
            "A faithful picture of a work of visual art whose protection has expired gets no new copyright. And the "
            "site of a public museum must be accessible, but for reproductions that cannot be made so.",
            "Directive (EU) 2019/790, Article 14; Directive (EU) 2016/2102, Articles 1(4)(f) and 4",
        ),
    },
)
