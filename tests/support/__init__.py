"""The words that the end-to-end tests are written in. Itself tested, in tests/support/test_support.py."""
