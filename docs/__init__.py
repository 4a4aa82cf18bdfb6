"""The documentation site: pages in Markdown, and the extension of Sphinx that completes them."""
