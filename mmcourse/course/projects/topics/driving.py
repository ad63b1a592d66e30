"""Driving: what is on the road ahead."""

from mmcourse.course.projects.project import Look, Need, Project

PROJECT = Project(
    name="driving",
    title="The road ahead",
    about="what is on the road ahead; a living being that is taken for a free road is the dear error",
    question="What is on the road?",
    reader="people who build a warning for the driver, not one who drives in the driver's place",
    kind="classify",
    unit="drive",
    backgrounds=("gray", "darkgray", "silver", "slategray", "lightslategray", "dimgray"),
    looks=(
        Look("free", (), "a road with nothing on it but what stands beside it", "trees and road signs"),
        Look(
            "living",
            ("dog", "deer", "cat", "horse", "stick figure"),
            "a road with {a_thing} on it",
            "an animal or a person",
        ),
        Look(
            "vehicle",
            ("automobile", "bus", "delivery truck", "bicycle", "motorcycle"),
            "a road with {a_thing} on it",
            "a vehicle",
        ),
    ),
    around=("evergreen tree", "stop sign", "vertical traffic light", "house", "deciduous tree"),
    crowd=(1, 3),
    prices={("living", "free"): 50.0, ("vehicle", "free"): 30.0, ("living", "vehicle"): 5.0},
    ask=0.4,
    dear="A person or an animal, or a vehicle, for which the road is called free. A brake for nothing is a nuisance, "
    "and if it comes often the driver switches the warning off.",
    needs={
        "data": Need(
            "Night, rain, other countries, other people: on pictures of streets, detectors were on average worse at "
            "pedestrians with darker skin than at those with lighter skin.",
            "Wilson et al., Predictive inequity in object detection, 2019",
        ),
        "consent": Need(
            "Pictures of streets show people and number plates. Whatever can be led back to a person is personal "
            "data, and whoever decides what it is used for has to plan for its protection from the start.",
            "Regulation (EU) 2016/679 (GDPR), Articles 4(1) and 25",
        ),
        "error costs": Need(
            "Danger also comes from a system in which nothing is broken, in a situation for which its design does not "
            "suffice; a standard says how to look for these.",
            "ISO 21448:2022, Road vehicles: Safety of the intended functionality",
        ),
        "regulation": Need(
            "A step from warning to driving is a step into another rule: where a system that drives in a lane in the "
            "driver's place is approved, it is tested on a track and on the road.",
            "UN Regulation No. 157 (Automated lane keeping systems), Annex 5",
        ),
    },
)
