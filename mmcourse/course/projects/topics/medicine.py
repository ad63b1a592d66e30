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
            "Pictures of the place where it will be used, and a test on those of another: networks for chest "
            "radiographs were worse on other hospitals in three of five comparisons, and networks could tell very well "
            "from which hospital a picture came.",
            "Zech et al., Variable generalization performance of a deep learning model to detect pneumonia in chest "
            "radiographs, PLOS Medicine, 2018",
        ),
        "consent": Need(
            "Data concerning health may not be processed, unless one of the listed exceptions holds, such as the "
            "explicit consent of the patient.",
            "Regulation (EU) 2016/679 (GDPR), Article 9(1) and (2)",
        ),
        "error costs": Need(
            "What a missed finding and a false alarm cost should be said by those who treat and by those who are "
            "treated; that a manufacturer must weigh risks against benefits is law.",
            "Regulation (EU) 2017/746 (IVDR), Annex I, sections 1 to 8",
        ),
        "regulation": Need(
            "Software that examines samples of patients is an in vitro diagnostic device. If it looks for what infects "
            "in blood, it is of class C at least, and its maker's word alone does not bring it to market; a hospital "
            "that makes it for itself has conditions of its own.",
            "Regulation (EU) 2017/746 (IVDR), Articles 2(2), 5(5) and 48, and Annex VIII, Rules 1 and 3",
        ),
    },
)
