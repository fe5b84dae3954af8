"""The tests of Sonde, laid out as its packages are. `python -m tests` runs them all."""
