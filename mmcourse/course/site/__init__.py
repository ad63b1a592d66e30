"""The course as a folder of web pages that need no network, no script and no kernel."""
