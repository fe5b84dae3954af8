"""Probes at the command line: from words to what is asked for, from results to what a person reads."""
