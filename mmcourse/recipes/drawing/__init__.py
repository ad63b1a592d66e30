"""Drawing from sentences: the drawer, the reader that judges it, and the sentences of a reader's own."""
