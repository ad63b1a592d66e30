"""Schoolbooks: a picture for a sentence."""

from mmcourse.course.projects.project import Look, Need, Project

THINGS = (
    "frog", "chicken", "eagle", "penguin", "ant", "honeybee", "spider", "snail", "camel", "fox", "giraffe",
    "hedgehog", "lion", "otter", "zebra", "dolphin", "octopus", "shark", "crocodile", "snake", "turtle",
    "cactus", "mushroom", "palm tree", "sunflower", "tulip", "banana", "cherries", "pear", "carrot", "garlic",
    "potato", "bread", "egg", "mountain", "volcano", "rainbow", "tornado", "moai", "castle", "school", "train",
    "tractor", "sailboat", "rocket", "compass", "microscope", "telescope", "magnet",
)  # fmt: skip

PROJECT = Project(
    name="schoolbooks",
    title="A picture for a sentence",
    about="which picture of a publisher's stock goes with a sentence of a schoolbook; found by the sentence alone",
    question="Which picture goes with this sentence?",
    reader="the editors of a schoolbook",
    kind="find",
    unit="thing",
    backgrounds=("white", "lightblue", "lightgreen", "lightyellow"),
    looks=(
        Look(
            "",
            THINGS,
            "The picture shows {a_thing}. The background is {color}.",
            "",
        ),
    ),
    dear="A picture that shows something else than the sentence says: a child believes it.",
    needs={
        "data": Need(
            "Pictures that do not teach what nobody meant to teach: a picture search exaggerated stereotypes of which "
            "gender has which occupation, and such results shifted what people believed.",
            "Kay, Matuszek and Munson, Unequal representation and gender stereotypes in image search results for "
            "occupations, CHI, 2015",
        ),
        "consent": Need(
            "Where an online service is offered to a child and rests on consent, the child's own counts from the age "
            "of 16 on, or from a lower one, at least 13, that a country has set; before that, it is the parents'.",
            "Regulation (EU) 2016/679 (GDPR), Article 8(1)",
        ),
        "error costs": Need(
            "A picture without a text alternative is no picture for a child who cannot see it; the alternative needs "
            "the same care as the picture.",
            "WCAG 2.2, success criterion 1.1.1",
        ),
        "regulation": Need(
            "Works may be shown in digital teaching for which a school is responsible; that exception from copyright "
            "is not the publisher's. And a step from finding pictures to judging pupils is a step into high risk.",
            "Directive (EU) 2019/790, Article 5(1); Regulation (EU) 2024/1689 (AI Act), Annex III, point 3",
        ),
    },
)
