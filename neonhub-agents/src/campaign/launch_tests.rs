use neonhub_core::run::Failure;
use serde_json::Value;

use super::*;

/// Runs the program against a fixed answer for each tool, as the driver would.
fn walk(answer: impl Fn(&str, &Value, usize) -> Value) -> (Vec<String>, Command) {
    let started = RunEvent::Started {
        input: json!({ "campaign": "cmp_1" }),
        at: neonhub_core::Timestamp::EPOCH,
        seed: 1,
    };
    let (mut state, mut commands) = Launch.step(LaunchState::default(), &started);
    let mut calls = Vec::new();
    loop {
        assert_eq!(commands.len(), 1, "one command at a time, so that each page is one commit");
        match commands.remove(0) {
            Command::CallTool { call, tool, args } => {
                let output = answer(&tool, &args, calls.len());
                calls.push(call.clone());
                (state, commands) = Launch.step(state, &RunEvent::ToolDone { call, output });
            }
            end => return (calls, end),
        }
    }
}

fn page(people: u64, next: Option<&str>) -> Value {
    let made = LaunchOutcome { people, created: people, ..LaunchOutcome::default() };
    serde_json::to_value(PageDone { made, next: next.map(str::to_owned), is_posts: false }).unwrap()
}

#[test]
fn posts_come_first_and_every_page_follows_the_one_before() {
    let (calls, end) = walk(|tool, args, n| match tool {
        "campaign.launch_begin" => json!({ "is_over": false }),
        "campaign.launch_posts" => {
            json!({ "made": LaunchOutcome { posts: 4, ..LaunchOutcome::default() }, "is_posts": true })
        }
        _ => match n {
            2 => {
                assert_eq!(args["after"], Value::Null);
                page(500, Some("per_a"))
            }
            3 => {
                assert_eq!((args["after"].as_str(), args["done"].as_u64()), (Some("per_a"), Some(500)));
                page(500, Some("per_b"))
            }
            _ => page(7, None),
        },
    });
    assert_eq!(calls, ["begin", "posts", "page/1", "page/2", "page/3"]);
    let Command::Done { output } = end else { panic!("{end:?}") };
    assert_eq!((output["people"].as_u64(), output["posts"].as_u64()), (Some(1_007), Some(4)));
}

#[test]
fn campaign_that_is_over_launches_nothing() {
    let (calls, end) = walk(|_, _, _| json!({ "is_over": true }));
    assert_eq!(calls, ["begin"]);
    assert!(matches!(end, Command::Done { .. }));
}

#[test]
fn failed_page_ends_the_run_with_its_reason() {
    let failure =
        Failure::from(Error::new(ErrorKind::Unavailable, "campaign.launch_page", "the store is busy"));
    let event = RunEvent::ToolFailed { call: "page/0".into(), failure: failure.clone() };
    let (_, commands) = Launch.step(LaunchState::default(), &event);
    assert_eq!(commands, [Command::Fail { failure }]);
}
