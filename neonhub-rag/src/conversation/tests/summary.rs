//! Summaries of long talk.

use neonhub_core::llm::{Origin, Reply, Scripted, Taint};

use super::*;
use crate::{BuildContext, BuiltContext, Knowledge, PartKind};

async fn with(knowledge: Knowledge, model: Option<&Arc<Scripted>>) -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    let mut builder = crate::install_with(Hub::builder().clock(clock.clone()).seed(1), knowledge);
    if let Some(model) = model {
        builder = builder.model(Arc::clone(model) as Arc<dyn neonhub_core::llm::Llm>);
    }
    (builder.build().await.unwrap().workspace("default").await.unwrap(), clock)
}

/// About sixty tokens.
fn words(n: usize) -> String {
    format!("Message {n}: {}", "we talk about the spring letter at length ".repeat(5))
}

fn ask(conversation: &ConversationId, budget: u32) -> SummarizeConversation {
    SummarizeConversation { conversation: conversation.clone(), thread: None, budget_tokens: Some(budget) }
}

async fn context(cx: &Scope, conversation: &ConversationId, budget_tokens: u32) -> BuiltContext {
    let build = BuildContext {
        purpose: "support".into(),
        query: "spring".into(),
        budget_tokens,
        k: Some(0),
        conversation: Some(conversation.clone()),
        ..Default::default()
    };
    cx.call(build).await.unwrap()
}

#[tokio::test]
async fn long_talk_is_summarised_and_the_messages_stay() {
    let model = Arc::new(
        Scripted::new()
            .reply_to("Message 0:", "Mila wants the letter in May.")
            .reply_to("Mila wants the letter in May.", "May it is, and it is signed."),
    );
    let (cx, clock) = with(Knowledge::new().with_summaries(None), Some(&model)).await;
    let id = start(&cx, "letter").await;
    for n in 0..10 {
        say(&cx, &clock, &id, &words(n)).await;
    }
    let short = cx.call(ask(&id, 4_000)).await.unwrap();
    assert_eq!((short.summary, short.folded), (None, 0), "three quarters of the budget are not full");
    let made = cx.call(ask(&id, 700)).await.unwrap();
    let summary = made.summary.unwrap();
    assert_eq!(summary.text, "Mila wants the letter in May.");
    assert_eq!((summary.taint, summary.origin, summary.messages), (Taint::Model, Origin::Model, made.folded));
    assert!(made.folded == 7 && made.open_tokens <= 175, "{} {}", made.folded, made.open_tokens);
    assert_eq!(cx.call(ask(&id, 700)).await.unwrap().folded, 0, "twice is once");
    assert_eq!(texts(&cx, &id).await.len(), 10);
    let get = GetConversation {
        conversation: id.clone(),
        thread: None,
        newest_first: false,
        limit: None,
        cursor: None,
    };
    assert_eq!(cx.call(get).await.unwrap().summary.as_ref(), Some(&summary));

    // A context that holds all of it gets the words themselves, a small one the summary and what came after.
    let large = context(&cx, &id, 10_000).await;
    assert_eq!(large.blocks.iter().filter(|b| b.part == PartKind::Conversation).count(), 10);
    let small = context(&cx, &id, 700).await;
    let talk: Vec<_> = small.blocks.iter().filter(|b| b.part == PartKind::Conversation).collect();
    assert_eq!(talk.len() as u64, 1 + 10 - made.folded);
    assert!(talk[0].text.contains("in May.") && talk[0].id == summary.id.as_str());
    assert!(talk[0].text.starts_with("<<<data label=model"), "it holds words of others");
    assert!(small.dropped.is_empty(), "{:?}", small.dropped);

    // It grows from what it was.
    for n in 10..18 {
        say(&cx, &clock, &id, &words(n)).await;
    }
    let grown = cx.call(ask(&id, 700)).await.unwrap();
    let next = grown.summary.unwrap();
    assert_eq!((next.id, next.text.as_str()), (summary.id, "May it is, and it is signed."));
    assert_eq!(next.messages, summary.messages + grown.folded);
    model.finish();
}

#[tokio::test]
async fn a_conversation_that_has_grown_is_summarised_by_a_job() {
    let (cx, clock) = with(Knowledge::new().with_summaries(Some(800)), None).await;
    let id = start(&cx, "letter").await;
    for n in 0..8 {
        say(&cx, &clock, &id, &words(n)).await;
    }
    cx.work_until_idle().await.unwrap();
    assert!(summary_of(&cx, &id, None).await.unwrap().is_none(), "it is short");
    for n in 8..12 {
        say(&cx, &clock, &id, &words(n)).await;
    }
    cx.work_until_idle().await.unwrap();
    let summary = summary_of(&cx, &id, None).await.unwrap().unwrap().body;
    assert!(summary.origin.is_offline() && summary.text.contains("spring letter"));
    assert!(summary.tokens <= 100 + 1 && summary.messages >= 7);
    say(&cx, &clock, &id, "Short again.").await;
    cx.work_until_idle().await.unwrap();
    assert_eq!(summary_of(&cx, &id, None).await.unwrap().unwrap().messages, summary.messages);
}

#[tokio::test]
async fn a_thread_has_a_summary_of_its_own_and_a_merge_drops_all() {
    let (cx, clock) = with(Knowledge::new().with_summaries(None), None).await;
    let (id, other) = (start(&cx, "letter").await, start(&cx, "more").await);
    let first = say(&cx, &clock, &id, &words(0)).await;
    for n in 1..12 {
        clock.advance(Duration::from_millis(10));
        let mut message = AppendMessage::of(id.clone(), "mila", words(n));
        message.reply_to_id = (n % 2 == 0).then(|| first.id.clone());
        cx.call(message).await.unwrap();
    }
    let thread = SummarizeConversation { thread: Some(first.id.clone()), ..ask(&id, 400) };
    let made = cx.call(thread).await.unwrap().summary.unwrap();
    assert!(made.messages < 6 && made.thread.as_ref() == Some(&first.id));
    assert!(summary_of(&cx, &id, None).await.unwrap().is_none(), "the whole has none");
    cx.call(ask(&id, 400)).await.unwrap();
    say(&cx, &clock, &other, "And one more.").await;
    let merged = cx.call(MergeConversations { into: id.clone(), from: other.clone() }).await.unwrap();
    for thread in [None, Some(&first.id)] {
        assert!(summary_of(&cx, &id, thread).await.unwrap().is_none());
    }
    cx.call(ask(&id, 400)).await.unwrap();
    let parted = cx.call(UnmergeConversations { from: other }).await.unwrap();
    assert!(parted.tokens > 0 && parted.tokens < merged.tokens);
    assert!(summary_of(&cx, &id, None).await.unwrap().is_none());
    assert_eq!(cx.call(ask(&id, 100)).await.unwrap_err().field_faults()[0].field, "budget_tokens");
}

#[tokio::test]
async fn a_refusal_leaves_the_talk_as_it_is() {
    let model = Arc::new(Scripted::new().reply(Reply::Refuse("no".into())));
    let (cx, clock) = with(Knowledge::new().with_summaries(None), Some(&model)).await;
    let id = start(&cx, "letter").await;
    for n in 0..10 {
        say(&cx, &clock, &id, &words(n)).await;
    }
    assert_eq!(cx.call(ask(&id, 600)).await.unwrap_err().code(), "refused");
    assert!(summary_of(&cx, &id, None).await.unwrap().is_none());
    model.finish();
}
