use super::super::compare::compare;
use super::*;

/// A run with these scores; a case passes from one half on.
fn run(scores: &[f64]) -> EvalRun {
    let results = scores.iter().enumerate().map(|(i, score)| CaseResult {
        case: format!("case {i:02}"),
        hash: "h".into(),
        score: *score,
        is_passed: *score >= 0.5,
        tokens: 10,
        ..CaseResult::default()
    });
    EvalRun { agent: "clerk".into(), results: results.collect(), ..EvalRun::default() }
}

#[test]
fn better_is_said_beyond_doubt_alone() {
    let base = run(&[0.5; 12]);
    let all = compare(&base, &run(&[0.75; 12]), 1);
    assert_eq!((all.verdict, all.pairs, all.difference.mean), (Verdict::Better, 12, 0.25));
    // A higher mean is not enough: 0 lies inside.
    let mixed = run(&[1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.5, 1.0, 0.0]);
    let found = compare(&base, &mixed, 1);
    assert!(found.difference.mean > 0.0 && found.difference.lo <= 0.0, "{found:?}");
    assert_eq!(found.verdict, Verdict::NoDifference);
    assert_eq!(compare(&run(&[0.75; 12]), &base, 1).verdict, Verdict::Worse);
    assert_eq!(compare(&run(&[0.0; 4]), &run(&[1.0; 4]), 1).verdict, Verdict::TooFewCases);
    assert_eq!(compare(&base, &mixed, 1), compare(&base, &mixed, 1));
}

#[test]
fn pairs_see_what_means_hide() {
    // Cases differ widely, but each got a little better.
    let scores: Vec<f64> = (0..20).map(|i| f64::from(i) / 20.0).collect();
    let better: Vec<f64> = scores.iter().map(|s| s + 0.02).collect();
    assert_eq!(compare(&run(&scores), &run(&better), 1).verdict, Verdict::Better);
}

#[test]
fn only_equal_cases_are_pairs() {
    let base = run(&[0.5; 8]);
    let mut new = run(&[1.0; 9]);
    new.results[0].hash = "changed".into();
    new.results[1].is_broken = true;
    let found = compare(&base, &new, 1);
    assert_eq!(
        (found.pairs, found.unpaired),
        (6, vec!["case 00".into(), "case 01".into(), "case 08".into()])
    );
    assert_eq!(found.tokens, 10);
}

#[tokio::test]
async fn runs_are_compared_and_the_gate_has_an_exit_code() {
    let (cx, _) = open().await;
    let cases: Vec<EvalCase> = (0..6)
        .map(|n| EvalCase { tags: vec!["core".into()], ..case(&format!("case {n}"), vec![contains("42")]) })
        .collect();
    put(&cx, cases).await;
    let answers = |words: [&str; 6]| {
        let script = words.iter().fold(Scripted::new(), |script, word| script.reply(*word));
        play_script(&cx, script);
    };
    answers(["42", "42", "42", "42", "42", "41"]);
    let old = cx.call(evals()).await.unwrap();
    assert!((old.pass_rate - 5.0 / 6.0).abs() < 1e-9);
    assert!(old.score.lo < old.score.mean && old.score.hi <= 1.0, "{:?}", old.score);
    answers(["no", "no", "no", "no", "42", "42"]);
    let new = cx.call(evals()).await.unwrap();
    let ids = CompareEvals { baseline: old.id.clone(), candidate: new.id.clone(), seed: None };
    let found = cx.call(ids).await.unwrap();
    assert_eq!((found.pairs, found.changed.len(), found.changed[0].candidate), (6, 5, 0.0));
    let gate = |gate: GateEvals| cx.call(gate);
    let of = |run: &EvalRun| GateEvals { run: run.id.clone(), ..GateEvals::default() };
    let open = gate(GateEvals { min_pass_rate: Some(0.8), max_misses: Some(0), ..of(&old) }).await.unwrap();
    assert_eq!((open.is_ok, open.exit_code), (true, 0), "{open:?}");
    let words = |answer: GateAnswer| {
        let broken = answer.bounds.into_iter().filter(|bound| !bound.is_ok);
        (answer.exit_code, broken.map(|bound| bound.bound).collect::<Vec<_>>())
    };
    for (bounds, broken) in [
        (GateEvals { min_score: Some(0.9), ..of(&old) }, "min_score"),
        (GateEvals { min_score_lo: Some(0.8), ..of(&old) }, "min_score_lo"),
        (GateEvals { min_pass_rate: Some(0.9), ..of(&old) }, "min_pass_rate"),
        (GateEvals { all_pass: vec!["core".into()], ..of(&old) }, "all_pass core"),
        // A tag that no case has guards nothing.
        (GateEvals { all_pass: vec!["security".into()], ..of(&old) }, "all_pass security"),
        (GateEvals { baseline: Some(old.id.clone()), ..of(&new) }, "max_drop"),
        (
            GateEvals {
                baseline: Some(old.id.clone()),
                max_drop: Some(1.0),
                must_be_better: true,
                ..of(&new)
            },
            "must_be_better",
        ),
    ] {
        assert_eq!(words(gate(bounds).await.unwrap()), (1, vec![broken.to_owned()]));
    }
    let same = gate(GateEvals { baseline: Some(old.id.clone()), ..of(&old) }).await.unwrap();
    assert_eq!(same.exit_code, 0);
    for none in [
        of(&old),
        GateEvals { must_be_better: true, ..of(&old) },
        GateEvals { min_score: Some(1.5), ..of(&old) },
    ] {
        assert_eq!(gate(none).await.unwrap_err().kind(), neonhub_core::ErrorKind::InvalidInput);
    }
}
