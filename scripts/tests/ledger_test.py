"""scripts/lib/ledger.py finds the pause that belongs to each event, whichever side of the event it begins on."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))
import ledger  # noqa: E402


class Pauses(unittest.TestCase):
    def test_the_longest_interval_that_touches_the_event(self):
        acknowledged = [0, 10, 20, 900, 910, 920, 1500, 1510]
        events = [["25", "kill -9 store-1"], ["905", "started store-1"], ["915", "kill -9 store-2"]]
        self.assertEqual(
            [pause for pause, _ in ledger.longest_pauses(acknowledged, events)],
            [880, 10, 580],
        )

    def test_a_pause_that_began_before_the_event_counts_whole(self):
        self.assertEqual(ledger.longest_pauses([0, 500, 510], [["100", "SIGSTOP store-1"]])[0][0], 500)

    def test_a_later_kill_has_its_own_pause(self):
        events = [["5", "kill -9 store-1"], ["30", "kill -9 store-2"]]
        pauses = ledger.longest_pauses([0, 10, 20, 25, 100, 101], events)
        self.assertEqual([pause for pause, _ in pauses], [10, 75])
        pauses = ledger.longest_pauses([0, 10, 20, 31, 100, 101], events)
        self.assertEqual([pause for pause, _ in pauses], [10, 69])

    def test_nothing_acknowledged_is_no_pause_known(self):
        self.assertEqual(ledger.longest_pauses([], [["5", "kill -9 store-1"]]), [(0, "kill -9 store-1")])


if __name__ == "__main__":
    unittest.main()
