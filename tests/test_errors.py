"""Errors that show their sentence alone."""

import doctest

from IPython.core.interactiveshell import InteractiveShell

from mmcourse import errors


def test_examples():
    results = doctest.testmod(errors)
    assert results.attempted
    assert not results.failed


def test_a_notebook_shows_the_sentence_and_no_traceback(capsys):
    class ColorError(errors.OneSentence, ValueError):
        pass

    shell = InteractiveShell()
    shell.user_ns["ColorError"] = ColorError
    ran = shell.run_cell("raise ColorError('no such color')")
    assert isinstance(ran.error_in_exec, ColorError)
    assert capsys.readouterr().out.strip() == "ColorError: no such color"
