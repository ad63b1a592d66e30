"""The learner's own folder: copies of the chapters, progress, and the commands around them."""
