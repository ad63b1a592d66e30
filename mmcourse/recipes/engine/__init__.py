"""What a recipe is, how one is followed, and the trained files that come with the course."""
