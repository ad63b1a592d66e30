"""What a teacher of the course uses: notebooks to hand out, a course folder for nbgrader, reports on grades."""
