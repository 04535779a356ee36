"""scripts/crate_table.py finds forbidden edges of every kind, and libraries of the edges in a core's tree."""

import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent))
import crate_table  # noqa: E402


def metadata(**uses):
    """cargo's answer for crates and what they use: crate=[(used, kind), …]."""
    packages = [
        {"name": f"nokv-{crate}", "dependencies": [
            {"name": name, "kind": kind, "path": "/x" if name.startswith("nokv-") else None} for name, kind in used]}
        for crate, used in uses.items()
    ]
    return json.dumps({"packages": packages})


class Workspace(unittest.TestCase):
    def breaches(self, **uses):
        with mock.patch.object(crate_table, "cargo", return_value=metadata(**uses)):
            return crate_table.workspace_breaches(Path("."))

    def test_what_the_table_has_is_allowed(self):
        self.assertEqual(self.breaches(percolator=[("nokv-engine", None), ("bytes", None)]), [])
        self.assertEqual(self.breaches(client=[("nokv-engine", "dev"), ("nokv-proto", "build")]), [])

    def test_the_cores_never_meet(self):
        for kind in (None, "dev", "build"):
            self.assertEqual(len(self.breaches(percolator=[("nokv-raftstore", kind)])), 1)
            self.assertEqual(len(self.breaches(raftstore=[("nokv-percolator", kind)])), 1)

    def test_what_tests_may_use_is_no_licence_for_the_crate(self):
        self.assertEqual(len(self.breaches(client=[("nokv-engine", None)])), 1)

    def test_a_crate_without_a_row(self):
        self.assertEqual(len(self.breaches(gadget=[])), 1)


class Cores(unittest.TestCase):
    def breaches(self, *tree):
        with mock.patch.object(crate_table, "cargo", return_value="\n".join(tree) + "\n"):
            return crate_table.core_breaches(Path("."), "percolator")

    def test_a_network_library_deep_in_the_tree(self):
        self.assertEqual(self.breaches("nokv-percolator v0.1.0 (/x)", "bytes v1.0.0", "bytes v1.0.0 (*)"), [])
        self.assertEqual(len(self.breaches("nokv-percolator v0.1.0 (/x)", "tokio v1.0.0")), 1)


class Documented(unittest.TestCase):
    def test_a_row_that_says_something_else(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "docs" / "architecture.md"
            page.parent.mkdir()
            rows = [f"| `{crate}/` | what | {', '.join(sorted(uses)) or '-'} |" for crate, uses in
                    crate_table.MAY_USE.items()]
            page.write_text("\n".join(rows) + "\n")
            self.assertEqual(crate_table.documented_table_breaches(Path(folder)), [])
            page.write_text("\n".join(rows).replace("| engine |", "| engine, proto |") + "\n")
            self.assertEqual(len(crate_table.documented_table_breaches(Path(folder))), 1)


if __name__ == "__main__":
    unittest.main()
