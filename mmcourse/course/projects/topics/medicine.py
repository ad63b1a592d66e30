"""Medicine: which smears need a second look."""

from mmcourse.course.projects.project import Look, Need, Project

PROJECT = Project(
    name="medicine",
    title="A second look",
    about="which smears under a microscope a person has to look at; a microbe that is missed is the dear error",
    question="Is there a microbe in this smear?",
    reader="a laboratory that sees more smears than its people can look at twice",
    kind="classify",
    unit="patient",
    backgrounds=("mistyrose", "lavenderblush", "linen", "seashell", "pink", "thistle", "antiquewhite"),
    looks=(
        Look("clear", (), "a stained smear without anything unusual", "drops of blood"),
        Look(
            "microbe",
            ("microbe",),
            "a stained smear with {a_thing}",
            "a microbe among drops of blood",
            (1, 2),
            (0.15, 0.6),
        ),
    ),
    around=("drop of blood", "red circle", "orange circle"),
    crowd=(4, 7),
    prices={("microbe", "clear"): 20.0},
    ask=0.5,
    dear="A microbe that is called clear: the patient goes home untreated. A clear smear that is called a microbe "
    "costs a second look.",
    needs={
        "data": Need(
            "Pictures of the place where it will be used, and a test on those of another: a network that had learned "
            "which hospital a picture came from was worse on hospitals that it had not seen.",
            "Zech et al., Variable generalization performance of a deep learning model to detect pneumonia in chest "
            "radiographs, PLOS Medicine, 2018",
        ),
        "consent": Need(
            "Data concerning health may not be processed at all, unless one of the listed exceptions holds, such as "
            "the explicit consent of the patient.",
            "Regulation (EU) 2016/679 (GDPR), Article 9(1) and (2)",
        ),
        "error costs": Need(
            "What a missed finding and a false alarm cost must be said by those who treat and by those who are "
            "treated; that a manufacturer must weigh risks against benefits is law.",
            "Regulation (EU) 2017/745 (MDR), Annex I, sections 1 to 4",
        ),
        "regulation": Need(
            "Software that informs decisions about diagnosis or therapy is a medical device of class IIa at least, and "
            "cannot be put on the market by its maker's word alone.",
            "Regulation (EU) 2017/745 (MDR), Article 2(1) and Annex VIII, Rule 11",
        ),
    },
)
