"""One module a verb; `sonde_viewer.__main__` imports the one that was typed."""
