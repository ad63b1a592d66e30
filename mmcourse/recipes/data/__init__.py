"""What recipes train on: captions, questions and statements about scenes, and folders of pictures."""
