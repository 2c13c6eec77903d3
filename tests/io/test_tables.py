from anime_tf.io.tables import format_table


def test_columns_are_aligned_or_markdown():
    rows = [("cel", 12.5, "-"), ("a long name", 3, "x")]
    assert format_table(["name", "ms", "note"], rows).splitlines() == [
        "name           ms  note",
        "cel          12.5     -",
        "a long name     3     x",
    ]
    assert format_table(["a", "b", "c"], [("cel", "live", 10)], left_columns=2).splitlines() == [
        "a    b      c",
        "cel  live  10",
    ]
    assert format_table(["name", "ms"], [("cel", 1)], markdown=True).splitlines() == [
        "| name | ms |",
        "| --- | --- |",
        "| cel | 1 |",
    ]
