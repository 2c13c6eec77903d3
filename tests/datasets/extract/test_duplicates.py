from anime_tf.datasets.extract.duplicates import HashIndex


def test_index():
    index = HashIndex([("a", 0), ("b", 0b111)])
    assert index.nearest(0b110) == ("b", 1)
    assert HashIndex().nearest(3) is None
    for i in range(200):
        index.add(str(i), 2**64 - 1 - i)
    assert len(index._names) == 202
    assert index.nearest(2**64 - 1) == ("0", 0)
