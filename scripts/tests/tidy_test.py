"""Each rule of scripts/tidy.py finds its breach, and only that: every case shows a text and the exact complaints."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import tidy  # noqa: E402

HEAD = "//! One.\n//! Two.\n"


def complaints(name, text):
    """What the rules for one file say, without the path."""
    return [(line, what.split(";")[0].split(":")[0]) for _, line, what in tidy.check_file(Path(name), text)]


class OneFile(unittest.TestCase):
    def test_a_sound_file_has_no_complaint(self):
        self.assertEqual(complaints("engine/src/read.rs", HEAD + "fn f() {}\n"), [])

    def test_length_of_a_file(self):
        self.assertEqual(complaints("a/src/b.rs", HEAD + "\n" * 597), [])
        self.assertEqual(complaints("a/src/b.rs", HEAD + "\n" * 598), [(600, "file has 600 lines")])

    def test_length_of_a_function(self):
        def function(lines):
            return HEAD + "fn long(x: [u8; 4]) -> [u8; 4] {\n" + "    // }\n" * (lines - 2) + "}\nfn short() {}\n"

        self.assertEqual(complaints("a/src/b.rs", function(69)), [])
        self.assertEqual(complaints("a/src/b.rs", function(70)), [(3, "function long has 70 lines")])

    def test_braces_in_strings_and_characters_do_not_end_a_function(self):
        body = ['    let _ = "}";', "    let _ = '}';", '    let _ = r#"}"}"#;', "    /* } /* } */ } */"]
        text = HEAD + "fn long<'a>(x: &'a str) {\n" + "\n".join(body * 17) + "\n}\n"
        self.assertEqual(complaints("a/src/b.rs", text), [(3, "function long has 70 lines")])

    def test_a_declaration_has_no_body(self):
        text = HEAD + "trait T {\n    fn f(&self);\n" + "\n" * 80 + "}\n"
        self.assertEqual(complaints("a/src/b.rs", text), [])

    def test_opening_words(self):
        expected = [(1, "a file opens with at least two lines of //! that say what it is for")]
        self.assertEqual(complaints("a/src/b.rs", "//! One.\nfn f() {}\n"), expected)

    def test_names_that_say_nothing(self):
        for name in ("util.rs", "common.rs", "helpers.rs", "manager.rs", "store_impl.rs"):
            self.assertEqual(len(complaints(f"a/src/{name}", HEAD)), 1, name)
        self.assertEqual(complaints("a/src/utilise.rs", HEAD), [])

    def test_leftovers(self):
        for marker in ("// TO" + "DO: later", "// FIX" + "ME", "todo" + "!()", "    db" + "g!(x);"):
            self.assertEqual(len(complaints("a/src/b.rs", HEAD + marker + "\n")), 1, marker)

    def test_ignored_tests_say_why(self):
        self.assertEqual(len(complaints("a/src/b.rs", HEAD + "#[ignore]\nfn f() {}\n")), 1)
        self.assertEqual(complaints("a/src/b.rs", HEAD + '#[ignore = "needs root"]\nfn f() {}\n'), [])

    def test_the_pure_crate_reads_no_clock(self):
        text = HEAD + "use std::time::Instant;\n"
        self.assertEqual(len(complaints("percolator/src/get.rs", text)), 1)
        self.assertEqual(complaints("server/src/get.rs", text), [])
        self.assertEqual(complaints("percolator/src/get.rs", HEAD + "// no Instant here\n"), [])

    def test_long_lines(self):
        self.assertEqual(complaints("a.sh", "#" * 120 + "\n"), [])
        self.assertEqual(complaints("a.sh", "#" * 121 + "\n"), [(1, "line has 121 characters")])

    def test_functions_of_scripts(self):
        shell = "f() {\n" + "  true\n" * 68 + "}\n"
        self.assertEqual(complaints("a.sh", shell), [(1, "function f has 70 lines")])
        python = "def f():\n" + "    pass\n" * 69 + "\n\ndef g():\n    pass\n"
        self.assertEqual(complaints("a.py", python), [(1, "function f has 70 lines")])


class MapOfACrate(unittest.TestCase):
    def breaches(self, opening, *files):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "crate" / "src"
            for file in files:
                (source / file).parent.mkdir(parents=True, exist_ok=True)
                (source / file).write_text(HEAD)
            source.mkdir(parents=True, exist_ok=True)
            (source / "lib.rs").write_text(opening)
            return [str(path) for path, _, _ in tidy.check_map(Path(folder), Path(folder) / "crate")]

    def test_every_file_is_on_the_map(self):
        self.assertEqual(self.breaches("//! - `get`: reads\n//! put.rs  writes\n", "get.rs", "put.rs"), [])
        self.assertEqual(self.breaches("//! - `get`: reads\n", "get.rs", "put.rs"), ["crate/src/put.rs"])
        self.assertEqual(self.breaches("//! [`get`](get()), [`put`]: both\n", "get.rs", "put.rs", "get_tests.rs"), [])

    def test_a_word_in_prose_is_no_mention(self):
        self.assertEqual(self.breaches("//! We get things.\n", "get.rs"), ["crate/src/get.rs"])

    def test_a_folder_has_its_own_map(self):
        files = ("peer/mod.rs", "peer/ready.rs")
        self.assertEqual(self.breaches("//! peer/  the peer\n//! ready.rs\n", *files), [])
        self.assertEqual(self.breaches("//! peer/  the peer\n", *files), ["crate/src/peer/ready.rs"])


if __name__ == "__main__":
    unittest.main()
