"""Pages for people to look at, made of results given as mappings: HTML in one file, and Markdown."""
