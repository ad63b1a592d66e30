"""What a notebook calls: `check`, `hint`, `quiz`, `claim`, `open_chapter`."""
