"""The one kind of error that the course engine reports to people: a sentence, never a traceback."""

from __future__ import annotations


class CourseError(ValueError):
    """Something a learner or teacher can put right; the text is one clear sentence that says how."""
