"""Shops: on which shelf a product goes."""

from mmcourse.course.projects.project import Look, Need, Project

PROJECT = Project(
    name="shops",
    title="On which shelf",
    about="on which shelf of an online shop a new product goes; what nobody finds is not sold",
    question="On which shelf does this product belong?",
    reader="a shop whose sellers send pictures of hundreds of new products a day",
    kind="classify",
    unit="seller",
    backgrounds=("white", "whitesmoke", "ivory", "lightsteelblue", "wheat", "mintcream", "khaki"),
    looks=(
        Look(
            "clothes",
            ("dress", "coat", "jeans", "t-shirt", "socks", "kimono", "scarf", "gloves", "shorts"),
            "{a_thing} as it is sold",
            "clothes to wear on the body",
        ),
        Look(
            "shoes",
            (
                "high-heeled shoe",
                "running shoe",
                "hiking boot",
                "man's shoe",
                "woman's boot",
                "woman's sandal",
                "flat shoe",
            ),
            "{a_thing} as it is sold",
            "shoes and boots",
        ),
        Look(
            "bags",
            ("backpack", "handbag", "purse", "clutch bag", "briefcase", "luggage"),
            "{a_thing} as it is sold",
            "bags",
        ),
        Look(
            "extras",
            ("ring", "gem stone", "crown", "glasses", "sunglasses", "watch", "necktie", "top hat", "umbrella"),
            "{a_thing} as it is sold",
            "jewelry, glasses and hats",
        ),
    ),
    around=("label", "ribbon", "star", "sparkles"),
    crowd=(0, 2),
    prices={("bags", "clothes"): 2.0, ("shoes", "extras"): 3.0, ("extras", "shoes"): 3.0},
    ask=0.3,
    dear="A shoe among the jewelry, or a ring among the shoes: buyers of the one never look at the other.",
    needs={
        "data": Need(
            "Products of all households that buy: recognizers of objects were worse on things from poorer households "
            "and poorer countries.",
            "De Vries et al., Does object recognition work for everyone?, CVPR workshops, 2019",
        ),
        "consent": Need(
            "A picture of a product is somebody's; where it is protected as a work, copying it into training data is "
            "a reproduction, which the author has to allow unless an exception holds.",
            "Directive 2001/29/EC, Article 2; exceptions for mining in Directive (EU) 2019/790, Articles 3 and 4",
        ),
        "error costs": Need(
            "A consumer who buys at a distance may, with some exceptions, withdraw within fourteen days without giving "
            "a reason; count the returns from a wrong shelf, they are a part of the price.",
            "Directive 2011/83/EU, Articles 9 and 16",
        ),
        "regulation": Need(
            "What a trader says of a product must not deceive about its nature, and an offer at a distance shows a "
            "picture of it and what else identifies it.",
            "Directive 2005/29/EC, Article 6(1); Regulation (EU) 2023/988, Article 19",
        ),
    },
)
