"""Social media: which posts a moderator sees first."""

from mmcourse.course.projects.project import Look, Need, Project

PROJECT = Project(
    name="social-media",
    title="What a moderator sees first",
    about="which posts might advertise alcohol or gambling to the young; both errors cost, and people can complain",
    question="Does this post show alcohol or gambling?",
    reader="the moderators of a platform for young people",
    kind="classify",
    unit="account",
    backgrounds=("lightyellow", "lightpink", "lightgreen", "lightskyblue", "lavender", "peachpuff", "white"),
    looks=(
        Look(
            "fine",
            ("pizza", "sunflower", "bird", "dog", "bicycle", "birthday cake", "glass of milk", "teddy bear"),
            "a post with {a_thing}",
            "a hobby, food or an animal",
        ),
        Look(
            "alcohol",
            ("beer mug", "wine glass", "cocktail glass", "clinking beer mugs", "sake"),
            "a post with {a_thing}",
            "alcohol: beer, wine or a cocktail",
        ),
        Look(
            "gambling",
            ("slot machine", "game die", "joker", "spade suit"),
            "a post with {a_thing}",
            "gambling: cards, dice",
        ),
    ),
    around=("sparkles", "red heart", "musical notes", "star"),
    crowd=(1, 2),
    prices={("alcohol", "fine"): 4.0, ("gambling", "fine"): 4.0, ("fine", "alcohol"): 2.0, ("fine", "gambling"): 2.0},
    ask=0.4,
    dear="There are two: what wrongly stays up reaches the young, and what wrongly comes down silences somebody.",
    needs={
        "data": Need(
            "Posts of all who use the platform: models that learned from what annotators had said called tweets in "
            "the English of African Americans offensive more often than others.",
            "Sap et al., The risk of racial bias in hate speech detection, ACL, 2019",
        ),
        "consent": Need(
            "Nobody has to accept that a machine alone decides what affects them significantly, unless a contract "
            "needs it, law allows it or they agreed; by contract or consent, a person can still be asked for.",
            "Regulation (EU) 2016/679 (GDPR), Article 22(1) to (3)",
        ),
        "error costs": Need(
            "Rules are applied with regard to the rights of all concerned, the freedom of expression among them; a "
            "single number such as accuracy hides whose error it was.",
            "Regulation (EU) 2022/2065 (DSA), Article 14(4)",
        ),
        "regulation": Need(
            "Whoever is moderated is told why and whether a machine took part. On platforms that are not small they "
            "may complain, and the complaint is not decided by a machine alone.",
            "Regulation (EU) 2022/2065 (DSA), Articles 17, 19 and 20",
        ),
    },
)
