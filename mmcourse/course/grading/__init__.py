"""The isolated grader: answers in one process, checks in another, and only data between them.

answer/    the side of the answer: runs a cell and does as the judge says; knows no exercise
judge/     the side of the checks: runs no line of a learner's code
run/       many submissions: who grades what, what is kept, tables and pages
channel, codec                     what crosses the border, and how
sandbox, namespaces, seccomp       what keeps an answer in its place
collection, submission             what was handed in: files of students, cells of a file
"""

import importlib

__all__ = ["grade_submissions"]


def __getattr__(name):
    if name != "grade_submissions":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.run.grade").grade_submissions
