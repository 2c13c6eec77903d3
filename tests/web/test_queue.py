import threading
from concurrent.futures import wait

from anime_tf.web.queue import AdmissionQueue, FairExecutor


def test_bounds_items_and_bytes():
    queue = AdmissionQueue(3, 100)
    free_first, second = queue.admit("a", 40), queue.admit("a", 60)
    assert free_first is not None and second is not None and len(queue) == 2
    assert queue.admit("a", 1) is None, "a place is free, but no byte"
    free_first()
    free_first()
    assert len(queue) == 1, "a second call does nothing"
    assert queue.admit("a", 40) is not None
    assert queue.admit("a", 0) is not None
    assert queue.admit("b", 0) is None, "all places are used"


def test_a_quarter_is_left_to_other_clients():
    queue = AdmissionQueue(4, 100, shared=True)
    assert all(queue.admit("a", 10) for _ in range(3))
    assert queue.admit("a", 10) is None
    free = queue.admit("b", 70)
    assert free is not None, "all bytes that are left"
    free()
    assert queue.admit("b", 71) is None


def test_clients_take_turns():
    executor = FairExecutor(1, "test")
    done, gate = [], threading.Event()
    executor.submit("a", gate.wait)
    names = ("a1", "a2", "a3", "b1", "b2", "c1")
    calls = [executor.submit(name[0], lambda name=name: done.append(name)) for name in names]
    broken = executor.submit("c", lambda: 1 / 0)
    calls[1].cancel()
    gate.set()
    wait([*calls, broken], 10)
    assert done == ["a1", "b1", "c1", "b2", "a3"]
    assert isinstance(broken.exception(0), ZeroDivisionError)
    gate.clear()
    executor.submit("a", gate.wait)
    left = executor.submit("a", list)
    threading.Timer(0.1, gate.set).start()
    executor.shutdown()
    assert left.cancelled()
