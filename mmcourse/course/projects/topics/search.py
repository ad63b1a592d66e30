"""Search: pictures by a sentence."""

from mmcourse.course.projects.project import Look, Need, Project

THINGS = (
    "guitar", "violin", "drum", "trumpet", "piñata", "camera", "television", "laptop", "telephone", "keyboard",
    "printer", "hammer", "axe", "ladder", "key", "umbrella", "backpack", "handbag", "crown", "top hat",
    "glasses", "running shoe", "dress", "jeans", "bicycle", "motorcycle", "bus", "taxi", "ambulance",
    "helicopter", "airplane", "ship", "anchor", "tent", "house", "church", "lighthouse of alexandria",
    "ferris wheel", "pizza", "hamburger", "doughnut", "cookie", "teapot", "wine glass", "strawberry",
    "pineapple", "watermelon", "dog", "cat",
)  # fmt: skip

PROJECT = Project(
    name="search",
    title="Pictures by a sentence",
    about="which picture of a collection a sentence asks for; how far the bundled clip gets, and what a little "
    "learning adds",
    question="Which picture does this sentence ask for?",
    reader="everybody who has more pictures than they can look through",
    kind="find",
    unit="thing",
    backgrounds=("white", "lightblue", "lightgreen", "pink"),
    looks=(
        Look(
            "",
            THINGS,
            "{a_thing} on a {color} ground",
            "",
        ),
    ),
    dear="A picture that is there and is not found: nobody ever learns that it was missed.",
    needs={
        "data": Need(
            "A look into what pretrained towers were fed: in a set of 400 million pairs of pictures and texts from the "
            "web there were misogyny, pornography and slurs, and models learn from such sets.",
            "Birhane, Prabhu and Kahembwe, Multimodal datasets: misogyny, pornography, and malignant stereotypes, 2021",
        ),
        "consent": Need(
            "People in pictures can have their data erased, for instance when they take their consent back, and an "
            "index that still finds them has not forgotten them.",
            "Regulation (EU) 2016/679 (GDPR), Article 17(1)",
        ),
        "error costs": Need(
            "Towers that were trained by contrast often behave like bags of words: who does what to whom gets lost, so "
            "sentences that depend on order need their own test.",
            "Yuksekgonul et al., When and why vision-language models behave like bags-of-words, and what to do about "
            "it?, ICLR, 2023",
        ),
        "regulation": Need(
            "An online platform that ranks for its users says in its terms what the main parameters are. And outside "
            "of research, the exception for mining works ends where their owners have reserved that.",
            "Regulation (EU) 2022/2065 (DSA), Article 27(1); Directive (EU) 2019/790, Articles 3 and 4(3)",
        ),
    },
)
