"""Projects: `mmcourse project NAME` writes one of eleven to begin with, and the learner makes it their own.

topics/        the eleven, one a file: data, no code
templates/     the notebook, one for all
drawing.py     stand-in pictures
checking.py    the test of the data
writing.py     the folder
"""
