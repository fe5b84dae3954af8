"""Figures, each measured beside a named peer in the same run: `python -m bench` lists them."""
