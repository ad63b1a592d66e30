"""Games: what a player meets."""

from mmcourse.course.projects.project import Look, Need, Project

PROJECT = Project(
    name="games",
    title="Friend, foe or treasure",
    about="what a computer player meets on a field; a foe that is taken for a treasure ends the game",
    question="What is on this field?",
    reader="people who build a computer player that gets nothing but pictures of the game",
    kind="classify",
    unit="level",
    backgrounds=("darkseagreen", "lightgreen", "khaki", "sandybrown", "lightblue", "plum", "palegreen"),
    looks=(
        Look(
            "treasure",
            ("coin", "gem stone", "treasure chest", "money bag", "key", "trophy"),
            "a field with {a_thing}",
            "a treasure",
        ),
        Look(
            "foe",
            ("dragon", "ghost", "skull", "wolf", "spider", "bat", "alien monster"),
            "a field with {a_thing}",
            "a monster",
        ),
        Look(
            "wall",
            ("rock", "brick", "cactus", "evergreen tree", "wood", "fire"),
            "a field with {a_thing}",
            "an obstacle",
        ),
    ),
    around=("herb", "seedling", "mushroom", "cloud"),
    crowd=(0, 2),
    prices={("foe", "treasure"): 10.0, ("wall", "treasure"): 2.0, ("foe", "wall"): 2.0},
    ask=0.6,
    dear="A foe that is taken for a treasure: the player runs into it.",
    needs={
        "data": Need(
            "Levels that were never trained on: computer players that had learned from thousands of levels still did "
            "worse on new ones.",
            "Cobbe et al., Quantifying generalization in reinforcement learning, ICML, 2019",
        ),
        "consent": Need(
            "Recordings of games show how people play, many of them children. Where an online game for children rests "
            "on consent, the parents give or allow it below an age that each country sets between 13 and 16.",
            "Regulation (EU) 2016/679 (GDPR), Article 8(1)",
        ),
        "error costs": Need(
            "A computer player that errs is part of the fun, until the error sells something: a direct call to "
            "children in an advertisement to buy is unfair in all circumstances.",
            "Directive 2005/29/EC, Annex I, point 28",
        ),
        "regulation": Need(
            "A system that exploits the weaknesses of an age to distort what players do, so that it harms somebody "
            "significantly or is likely to, is forbidden.",
            "Regulation (EU) 2024/1689 (AI Act), Article 5(1)(b)",
        ),
    },
)
