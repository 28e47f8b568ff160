//! The printed table and the result file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, Row};

const HEAD: [&str; 7] = ["row", "ours", "rival", "its value", "ratio", "goal", ""];

/// Prints the rows that have a goal as a table, with the number of missed goals below.
pub fn print(group: &str, rows: &[Row]) {
    print!("{}", table(group, rows));
}

fn table(group: &str, rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.has_goal()).collect();
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| row.cells()));
    let missed = rows.iter().filter(|row| !row.holds()).count();
    format!("\n{group}\n{}{} goals, {missed} missed\n", aligned(&lines), rows.len())
}

/// Lines of cells in columns.
pub(crate) fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
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
    fn a_row_without_a_goal_stands_in_the_file_alone() {
        let mut rows = rows();
        rows.push(Row::new("rig: runs", 1.0, "runs/s", Goal::Shown));
        let text = table("agents", &rows);
        assert!(text.contains("2 goals, 1 missed") && !text.contains("rig"), "{text}");
        assert_eq!(rows[2].to_json()["holds"], Value::Null);
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
