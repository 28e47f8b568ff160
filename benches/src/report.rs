//! The printed table and the result file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, Row};

const HEAD: [&str; 7] = ["row", "ours", "rival", "its value", "ratio", "goal", ""];

/// Prints the rows as a table, with the number of missed goals below.
pub fn print(group: &str, rows: &[Row]) {
    print!("{}", table(group, rows));
}

fn table(group: &str, rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let mut widths = [0; HEAD.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("\n{group}\n");
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    let missed = rows.iter().filter(|row| !row.holds()).count();
    text.push_str(&format!("{} goals, {missed} missed\n", rows.len()));
    text
}

/// Writes `GROUP.json` into the folder: a list of rows. Returns its path.
///
/// # Errors
/// When the folder cannot be made or the file not be written.
pub fn write(folder: &Path, group: &str, rows: &[Row]) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{group}.json"));
    let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
    std::fs::write(&path, serde_json::to_string_pretty(&rows)? + "\n")?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Goal;

    fn rows() -> Vec<Row> {
        vec![
            Row::new("queue", 6_000.0, "sends/s", Goal::AtLeast(5_000.0)),
            Row::new("cold open", 140.0, "ms", Goal::AtMost(100.0)),
        ]
    }

    #[test]
    fn table_keeps_the_missed_row_and_counts_it() {
        let text = table("spine", &rows());
        assert!(text.contains("2 goals, 1 missed"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("cold open") && line.ends_with("MISSED")), "{text}");
    }

    #[test]
    fn result_file_holds_every_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder.path().join("bench"), "spine", &rows()).unwrap();
        let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let holds: Vec<bool> = rows.iter().filter_map(|row| row["holds"].as_bool()).collect();
        assert_eq!(holds, [true, false]);
    }
}
