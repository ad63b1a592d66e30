"""The eleven projects, one a file, in the order in which they are listed."""

from mmcourse.course.projects.project import Project
from mmcourse.course.projects.topics import (
    customer_service,
    design,
    driving,
    games,
    medicine,
    museum,
    schoolbooks,
    search,
    security,
    shops,
    social_media,
)

_MODULES = (
    medicine, driving, security, social_media, shops, schoolbooks, search, customer_service, museum, design, games,
)  # fmt: skip
PROJECTS: dict[str, Project] = {module.PROJECT.name: module.PROJECT for module in _MODULES}
