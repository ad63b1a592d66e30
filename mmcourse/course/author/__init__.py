"""From a chapter's source to its notebooks: reading, executing, building and looking for faults."""
