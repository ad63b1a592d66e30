"""Puts chapters, data and the tested set of versions into a wheel, so that it works without the repository.

An editable installation gets none of them: it has the repository, and a second copy of the solutions inside the
environment would be one that nobody expects there.
"""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CONTENT = ("chapters", "data", "constraints.txt")


class ContentHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        if version != "editable":
            build_data["force_include"] |= {name: f"mmcourse/_content/{name}" for name in CONTENT}
