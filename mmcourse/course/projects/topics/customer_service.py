"""Customer service: which team a picture goes to."""

from mmcourse.course.projects.project import Look, Need, Project

PROJECT = Project(
    name="customer-service",
    title="To the right team",
    about="which team a customer's picture goes to; a message that goes the wrong way is days late",
    question="Which team can help with what is in this picture?",
    reader="a service desk that gets pictures with few words",
    kind="classify",
    unit="customer",
    backgrounds=("beige", "tan", "lightgray", "white", "wheat", "lavender", "burlywood"),
    looks=(
        Look(
            "devices",
            ("printer", "telephone", "television", "laptop", "mobile phone", "radio", "camera", "washing machine"),
            "a customer's {thing} at home",
            "an electrical device",
        ),
        Look(
            "bathroom",
            ("shower", "bathtub", "toilet", "soap", "plunger", "toothbrush"),
            "a customer's {thing} at home",
            "a bathroom",
        ),
        Look(
            "furniture",
            ("couch and lamp", "chair", "bed", "armchair", "door", "window"),
            "a customer's {thing} at home",
            "furniture",
        ),
        Look(
            "parcels",
            ("package", "envelope", "delivery truck", "postbox", "label"),
            "a customer's {thing}",
            "a parcel or a letter",
        ),
    ),
    around=("potted plant", "cat", "hot beverage", "books"),
    crowd=(0, 2),
    prices={
        ("devices", "furniture"): 2.0,
        ("bathroom", "devices"): 3.0,
        ("bathroom", "furniture"): 3.0,
        ("bathroom", "parcels"): 3.0,
    },
    ask=0.3,
    dear="A bathroom sent to another team: water does not wait.",
    needs={
        "data": Need(
            "Pictures as customers take them, dark, cut off and out of focus. Pictures that blind people took to ask "
            "what is on them differ from those that models are tested on.",
            "Gurari et al., VizWiz grand challenge: answering visual questions from blind people, CVPR, 2018",
        ),
        "consent": Need(
            "A picture of a broken chair also shows a home. Personal data are limited to what the purpose needs.",
            "Regulation (EU) 2016/679 (GDPR), Article 5(1)(c)",
        ),
        "error costs": Need(
            "A consumer whose goods are faulty has a right to repair or replacement, within a reasonable time from "
            "the moment the seller is told and without great inconvenience; time in the wrong queue counts.",
            "Directive (EU) 2019/771, Articles 13(2) and 14(1)",
        ),
        "regulation": Need(
            "A step from sorting to answering is a step into another rule: a system that people talk to is built so "
            "that they are told it is a machine, unless that is obvious.",
            "Regulation (EU) 2024/1689 (AI Act), Article 50(1)",
        ),
    },
)
