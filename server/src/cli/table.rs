//! Tables for people: a heading, columns as wide as their widest cell, two blanks between them.
//!
//! No frames and no colours, so that `awk` and `sort` can still work on them.

/// Lines of cells under a heading.
#[derive(Clone, Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with only its heading.
    pub(super) fn new(heading: &[&str]) -> Self {
        Table { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a line; an empty cell is shown as `-`, so that columns can be counted.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| if cell.is_empty() { "-".into() } else { cell }).collect());
    }

    /// The lines, each with its end.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|at| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_never_empty() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(["1".into(), "größer".into()]);
        table.row(["1000".into(), String::new()]);
        assert_eq!(table.render(), "ID    NAME\n1     größer\n1000  -\n");
    }
}
