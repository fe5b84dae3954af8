"""A program to stop in: a loop that comes by the same line ten times a second."""

import time


def tick(count: int) -> int:
    answer = count + 1
    return answer  # stop here


count = 0
print("ready", flush=True)
while True:
    count = tick(count)
    time.sleep(0.1)
