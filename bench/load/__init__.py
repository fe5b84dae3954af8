"""The load: agents, publishers and viewers by the thousand, in a process of their own beside the server that is measured.

They speak MQTT and WebSocket just well enough, and count events by a mark in the bytes that arrive, so that one core of
Python is enough for what they have to bring and take.
"""
