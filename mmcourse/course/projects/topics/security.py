"""Security: which bags are to be opened."""

from mmcourse.course.projects.project import Look, Need, Project

PROJECT = Project(
    name="security",
    title="Bags to open",
    about="which bags at a gate are opened; a blade that passes is the dear error, and blades are rare",
    question="Must this bag be opened?",
    reader="people at a gate who look at pictures of bags all day",
    kind="classify",
    unit="scanner",
    backgrounds=("lightcyan", "aliceblue", "honeydew", "azure", "powderblue", "paleturquoise"),
    looks=(
        Look("pass", (), "a bag with what people carry", "clothes and books"),
        Look(
            "open",
            ("kitchen knife", "dagger", "scissors", "axe"),
            "a bag with {a_thing} among what people carry",
            "a knife",
            ink=(0.6, 1.0),
        ),
    ),
    around=("jeans", "t-shirt", "socks", "camera", "books", "toothbrush", "laptop", "umbrella", "glasses"),
    crowd=(3, 6),
    prices={("open", "pass"): 30.0},
    ask=0.6,
    dear="A bag with a blade that passes. Opening a bag for nothing costs a minute, of everybody in the queue.",
    needs={
        "data": Need(
            "A test in which blades are as rare as in life; here about every other bag has one. People who look for "
            "what is rare miss it far more often than where it is common.",
            "Wolfe, Horowitz and Kenner, Rare items often missed in visual searches, Nature, 2005",
        ),
        "consent": Need(
            "A picture of a bag that can be led back to its owner is personal data: it is kept no longer in that form "
            "than its purpose needs.",
            "Regulation (EU) 2016/679 (GDPR), Article 5(1)(e)",
        ),
        "error costs": Need(
            "What must not pass is set by the rules of the place, and an error is priced by them. In an airport it is "
            "law: axes, and knives and scissors with blades of more than 6 cm, are on a list.",
            "Implementing Regulation (EU) 2015/1998, Annex, section 4.4 and Attachment 4-C",
        ),
        "regulation": Need(
            "A step from bags to faces is a step into another law: identifying people at a distance by their bodies is "
            "in part forbidden, and otherwise of high risk.",
            "Regulation (EU) 2024/1689 (AI Act), Article 5(1)(h) and Annex III, point 1",
        ),
    },
)
