"""The side of the checks. No line of a learner's code runs here."""
