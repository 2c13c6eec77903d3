import pytest

from anime_tf.io.closeable import Finishing


class Noted(Finishing):
    def __init__(self, fails=False):
        self.done, self._fails = [], fails

    def finish(self):
        self.done.append("finish")
        if self._fails:
            raise OSError("disk full")

    def close(self):
        self.done.append("close")


def test_what_is_written_is_finished_and_closed():
    with Noted() as noted:
        assert noted.done == []
    assert noted.done == ["finish", "close"]


def test_after_an_error_it_is_closed_alone():
    noted = Noted()
    with pytest.raises(ValueError, match="no"), noted:
        raise ValueError("no")
    assert noted.done == ["close"]


def test_it_is_closed_where_it_cannot_be_finished():
    noted = Noted(fails=True)
    with pytest.raises(OSError, match="disk full"), noted:
        pass
    assert noted.done == ["finish", "close"]
