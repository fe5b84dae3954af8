from sonde_viewer.stops import Stops


def standing(stops: Stops) -> list[int]:
    return [stop.thread for stop in stops.standing]


def test_threads_stand_from_stopped_to_continued() -> None:
    stops = Stops()
    stops.handle("stopped", {"threadId": 1, "reason": "breakpoint"})
    stops.handle("stopped", {"threadId": 2, "reason": "step"})
    assert standing(stops) == [1, 2]
    stops.handle("continued", {"threadId": 1, "allThreadsContinued": False})
    assert standing(stops) == [2]


def test_continued_for_all_lets_all_run() -> None:
    stops = Stops()
    stops.told([{"threadId": 1}, {"threadId": 2}])
    stops.handle("continued", {"threadId": 1, "allThreadsContinued": True})
    assert standing(stops) == []


def test_a_thread_that_exited_or_a_terminated_process_stands_no_more() -> None:
    stops = Stops()
    stops.told([{"threadId": 1}, {"threadId": 2}])
    stops.handle("thread", {"threadId": 1, "reason": "exited"})
    assert standing(stops) == [2]
    stops.handle("terminated", {})
    assert standing(stops) == []


def test_other_events_change_nothing() -> None:
    stops = Stops()
    stops.told([{"threadId": 1}])
    stops.handle("output", {"output": "hello"})
    stops.handle("thread", {"threadId": 1, "reason": "started"})
    assert standing(stops) == [1]


def test_a_stop_that_overtakes_the_answer_to_continue_stays() -> None:
    stops = Stops()
    stops.told([{"threadId": 1, "reason": "breakpoint"}])
    before = stops.count
    stops.resuming(1)
    stops.handle("stopped", {"threadId": 1, "reason": "breakpoint"})
    stops.all_resumed(before)
    assert standing(stops) == [1]
    assert stops.standing[0].number > before


def test_a_refused_resume_leaves_the_thread_standing() -> None:
    stops = Stops()
    stops.told([{"threadId": 1, "reason": "breakpoint"}])
    stop = stops.resuming(1)
    assert stop is not None
    assert standing(stops) == []
    stops.not_resumed(stop)
    assert stops.standing == (stop,)


def test_an_older_stop_does_not_replace_a_newer_one_of_its_thread() -> None:
    stops = Stops()
    stops.told([{"threadId": 1, "reason": "breakpoint"}])
    stop = stops.resuming(1)
    assert stop is not None
    stops.handle("stopped", {"threadId": 1, "reason": "step"})
    stops.not_resumed(stop)
    assert stops.standing[0].reason == "step"
