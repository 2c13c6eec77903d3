from anime_tf.web.queue import AdmissionQueue


def test_bounds_items_and_bytes():
    queue = AdmissionQueue(3, 100)
    first, second = queue.admit(40), queue.admit(60)
    assert first is not None and second is not None and len(queue) == 2
    assert queue.admit(1) is None, "a slot is free, but no byte"
    first.release()
    first.release()
    assert len(queue) == 1, "a second release does nothing"
    assert queue.admit(40) is not None
    assert queue.admit(0) is not None
    assert queue.admit(0) is None, "all slots are used"
