"""What the scripts say about regions that live: gaps between them, and which change makes sense."""

import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))

import region_ops  # noqa: E402
import topology  # noqa: E402


def region(number, start, end, stores=(1, 2, 3), leader=1):
    peers = [{"store_id": store, "peer_id": number * 10 + store} for store in stores]
    return {"id": number, "start_key": start, "end_key": end, "peers": peers, "leader_store_id": leader}


class Gaps(unittest.TestCase):
    def test_regions_that_hold_each_key_once_leave_none(self):
        self.assertIsNone(topology.find_gap([region(1, "-", "hex:ff"), region(2, "hex:ff", "-")]))

    def test_a_gap_is_named_by_its_first_key(self):
        self.assertEqual(topology.find_gap([region(1, "-", "g"), region(2, "m", "-")]), "g")
        self.assertEqual(topology.find_gap([region(1, "-", "g")]), "g")
        self.assertEqual(topology.find_gap([region(2, "m", "-")]), "-")
        self.assertEqual(topology.find_gap([]), "-")

    def test_two_that_hold_a_key_are_as_wrong(self):
        self.assertEqual(topology.find_gap([region(1, "-", "m"), region(2, "g", "-")]), "m")
        self.assertIsNotNone(topology.find_gap([region(1, "-", "-"), region(2, "m", "-")]))


class Changes(unittest.TestCase):
    KEYS = ["apple", "kiwi", "quince"]

    def test_a_split_is_strictly_inside_its_region(self):
        commands = region_ops.split([region(1, "apple", "kiwi")], random.Random(1), self.KEYS)
        self.assertEqual(commands, [], "a region's first key is not inside")
        commands = region_ops.split([region(1, "apple", "-")], random.Random(1), ["apple", "kiwi"])
        self.assertEqual(commands, [("split", 1, "kiwi")])

    def test_a_move_adds_where_there_is_none_and_removes_where_there_is_one(self):
        add, remove = region_ops.move([region(1, "-", "-")], random.Random(1), self.KEYS)
        self.assertEqual(add, ("add-peer", 1, 4))
        self.assertIn(remove, [("remove-peer", 1, store) for store in (1, 2, 3)])

    def test_a_transfer_goes_to_a_follower_and_a_merge_to_a_neighbour(self):
        self.assertNotIn(("transfer-leader", 1, 1), region_ops.transfer([region(1, "-", "-")], random.Random(3), []))
        pair = [region(1, "-", "m"), region(2, "m", "-")]
        self.assertIn(region_ops.merge(pair, random.Random(3), []), [[("merge", 1, 2)], [("merge", 2, 1)]])
        self.assertEqual(region_ops.merge(pair[:1], random.Random(3), []), [])


if __name__ == "__main__":
    unittest.main()
