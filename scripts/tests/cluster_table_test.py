"""What cluster_table.py says of a cluster's status: a check that holds of anything would show nothing."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))

import cluster_table  # noqa: E402


def status(*stores, hosts=(), **others):
    described = [{"store_id": number, "state": state, "peers": peers, "leaders": leaders}
                 for number, state, peers, leaders in stores]
    return {"stores": described, "placement": {"member_store_ids": list(hosts)}, "operators": [],
            "regions_lacking_replicas": 0, "regions": 1, **others}


class Holds(unittest.TestCase):
    def test_spread_and_led_look_at_the_stores_that_are_well(self):
        even = status((1, "well", 10, 4), (2, "well", 8, 3), (3, "down", 0, 0))
        self.assertTrue(cluster_table.holds(even, "spread", "25"))
        self.assertTrue(cluster_table.holds(even, "led", "25"))
        self.assertFalse(cluster_table.holds(status((1, "well", 10, 4), (2, "well", 7, 4)), "spread", "25"))
        self.assertFalse(cluster_table.holds(status((1, "well", 9, 4), (2, "well", 9, 0)), "led", "100"))
        self.assertFalse(cluster_table.holds(status((1, "well", 0, 0)), "spread", "25"))

    def test_hosts_are_so_many_and_all_well(self):
        stores = ((1, "well", 1, 1), (2, "well", 1, 0), (3, "down", 1, 0), (5, "well", 1, 0))
        self.assertTrue(cluster_table.holds(status(*stores, hosts=(1, 2, 5)), "hosted", "3"))
        self.assertFalse(cluster_table.holds(status(*stores, hosts=(1, 2, 3)), "hosted", "3"))
        self.assertFalse(cluster_table.holds(status(*stores, hosts=(1, 2)), "hosted", "3"))

    def test_whole_means_nothing_lacks_and_nothing_is_under_way(self):
        self.assertTrue(cluster_table.holds(status(), "whole"))
        self.assertFalse(cluster_table.holds(status(regions_lacking_replicas=1), "whole"))
        self.assertFalse(cluster_table.holds(status(operators=[{"kind": "repair"}]), "whole"))

    def test_empty_is_about_one_store(self):
        stores = status((1, "well", 3, 1), (3, "down", 0, 0))
        self.assertTrue(cluster_table.holds(stores, "empty", "3"))
        self.assertFalse(cluster_table.holds(stores, "empty", "1"))


if __name__ == "__main__":
    unittest.main()
