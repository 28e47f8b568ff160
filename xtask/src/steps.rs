//! Steps with a time budget, and the table of what they took.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Done,
    Failed,
}

#[derive(Debug, Clone)]
struct Row {
    name: String,
    took: Duration,
    budget: Duration,
    ending: Ending,
}

/// The steps of one task, in the order in which they ran.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    rows: Vec<Row>,
    keeps_going: bool,
}

impl Steps {
    /// The same steps, where a failed one does not keep the next ones from running; the task fails at its end.
    pub(crate) fn keeping_going(&mut self) {
        self.keeps_going = true;
    }

    /// Runs one step and records what it took. A step over its budget is marked in the table and does not fail:
    /// the machine may be loaded.
    pub(crate) fn run(
        &mut self,
        name: &str,
        budget_seconds: u64,
        step: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        let result = step();
        let ending = if result.is_ok() { Ending::Done } else { Ending::Failed };
        let budget = Duration::from_secs(budget_seconds);
        self.rows.push(Row { name: name.to_owned(), took: start.elapsed(), budget, ending });
        let result = result.map_err(|failure| Failure::new(format!("step `{name}` failed: {failure}")));
        match result {
            Err(failure) if self.keeps_going => {
                println!("{failure}");
                Ok(())
            }
            result => result,
        }
    }

    /// Fails when a step has failed.
    fn finish(&self) -> Result<()> {
        let failed = self.rows.iter().filter(|row| row.ending == Ending::Failed);
        let names: Vec<String> = failed.map(|row| format!("`{}`", row.name)).collect();
        if names.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(format!("failed steps: {}", names.join(", "))))
        }
    }

    /// Prints the table of all steps so far.
    pub(crate) fn print(&self) {
        print!("{}", self.table());
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(4).max(5);
        let mut text = format!("\n{:width$}  {:>9}  {:>9}\n", "step", "seconds", "budget");
        for row in &self.rows {
            let mark = match row.ending {
                Ending::Failed => "  FAILED",
                Ending::Done if row.took > row.budget => "  over budget",
                Ending::Done => "",
            };
            let (took, budget) = (row.took.as_secs_f64(), row.budget.as_secs());
            text.push_str(&format!("{:width$}  {took:>9.1}  {budget:>9}{mark}\n", row.name));
        }
        let took: Duration = self.rows.iter().map(|row| row.took).sum();
        let budget: Duration = self.rows.iter().map(|row| row.budget).sum();
        text.push_str(&format!("{:width$}  {:>9.1}  {:>9}\n", "total", took.as_secs_f64(), budget.as_secs()));
        text
    }
}

/// Runs a task's steps and prints their table, whether they all passed or not.
pub(crate) fn with_table(task: impl FnOnce(&mut Steps) -> Result<()>) -> Result<()> {
    let mut steps = Steps::default();
    let result = task(&mut steps);
    steps.print();
    result.and_then(|()| steps.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_failure_names_its_step_and_stays_in_the_table() {
        let mut steps = Steps::default();
        steps.run("good", 1, || Ok(())).unwrap();
        let failure = steps.run("bad", 1, || Err(Failure::new("broken"))).unwrap_err();
        assert_eq!(failure.to_string(), "step `bad` failed: broken");
        let table = steps.table();
        assert!(table.lines().any(|line| line.starts_with("bad") && line.ends_with("FAILED")), "{table}");
    }

    #[test]
    fn kept_going_fails_at_the_end() {
        let mut steps = Steps::default();
        steps.keeping_going();
        steps.run("bad", 1, || Err(Failure::new("broken"))).unwrap();
        steps.run("good", 1, || Ok(())).unwrap();
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed steps: `bad`");
    }

    #[test]
    fn step_over_its_budget_is_marked() {
        let mut steps = Steps::default();
        let slow = || {
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        };
        steps.run("slow", 0, slow).unwrap();
        assert!(steps.table().contains("over budget"));
    }
}
