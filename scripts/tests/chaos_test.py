"""The judge of chaos.py must see what is wrong: a judge that cannot fail shows nothing."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))

import chaos  # noqa: E402


def write(value, called, returned, outcome="ok"):
    return {"register": 0, "write": value, "called": called, "returned": returned, "outcome": outcome}


def read(values, called, returned):
    return {"register": 0, "write": None, "read": values, "called": called, "returned": returned, "outcome": "ok"}


class Judge(unittest.TestCase):
    def test_good_histories_pass(self):
        self.assertEqual(chaos.judge_register([]), [])
        good = [read([], 0, 1), write(1, 2, 4), read([1], 3, 5), write(2, 6, 9), read([1], 7, 8), read([2], 7, 10)]
        self.assertEqual(chaos.judge_register(good), [])
        late = [write(1, 0, 1), write(2, 2, 3, "unknown"), read([1], 4, 5), read([2], 6, 7)]
        self.assertEqual(chaos.judge_register(late), [])

    def test_stale_reads_are_found(self):
        self.assertTrue(chaos.judge_register([write(1, 0, 1), write(2, 2, 3), read([1], 4, 5)]))
        self.assertTrue(chaos.judge_register([write(1, 0, 1), read([], 2, 3)]))

    def test_reads_that_go_back_are_found(self):
        back = [write(1, 0, 1), write(2, 2, 9), read([2], 3, 4), read([1], 5, 6)]
        self.assertTrue(chaos.judge_register(back))

    def test_refused_writes_that_show_are_found(self):
        self.assertTrue(chaos.judge_register([write(1, 0, 1, "refused"), read([1], 2, 3)]))
        self.assertTrue(chaos.judge_register([read([7], 2, 3)]))

    def test_half_transactions_are_found(self):
        for values in ([1, 2], [2]):
            half = {**read(values, 3, 4), "register": 1}
            self.assertTrue(chaos.judge_register([write(1, 0, 1), write(2, 2, 9), half]))
        whole = {**read([1, 1], 3, 4), "register": 1}
        self.assertEqual(chaos.judge_register([write(1, 0, 1), whole]), [])


if __name__ == "__main__":
    unittest.main()
