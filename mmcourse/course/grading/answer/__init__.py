"""The side of the answer. Nothing here may import an exercise, a check or the judge; a test reads the imports."""
