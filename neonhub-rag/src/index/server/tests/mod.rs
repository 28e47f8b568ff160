//! The tables on a real server: the suite of vector indexes, words beside those of the embedded index, and races.

use std::sync::Arc;

use neonhub_core::store::conformance::postgres::database;
use neonhub_core::store::{Store as _, postgres::PostgresStore};

use super::super::conformance::{clustered, name};
use super::super::{FieldBoosts, IdSet, Scored, TextDoc, TextIndex, VectorIndex};
use super::*;

mod recall;
mod suite;
mod words;

/// A store of its own database, with the tables.
async fn server(label: &str) -> (PostgresStore, Arc<Server>, String) {
    let url = database(label).await;
    let store = PostgresStore::open(&url).await.unwrap();
    let server = Server::open(store.side().unwrap()).await.unwrap();
    (store, server, url)
}

fn place(server: &Arc<Server>, workspace: &str, space: &str, dims: usize) -> Place {
    Place::new(Arc::clone(server), workspace, space, "e", dims)
}

fn entry<'a>(document: &'a str, body: &'a str, vector: Option<&'a [f32]>) -> Entry<'a> {
    let doc = TextDoc { id: document, title: "", headings: "", body, language: Some("en") };
    Entry { document, passages: vec![Passage { doc, vector }] }
}

fn wanted(documents: &[(&str, &str)]) -> Wanted {
    documents.iter().map(|(id, hash)| ((*id).to_owned(), ((*hash).to_owned(), 1))).collect()
}

fn all(chunks: usize) -> Kept {
    Kept { chunks, of: chunks, ..Kept::default() }
}

async fn words(place: &Place, query: &str) -> Vec<String> {
    let languages = ["en".to_owned()].into();
    let found = place.search_words(query, &languages, 10, &all(100), FieldBoosts::default()).await.unwrap();
    found.into_iter().map(|hit| hit.id.to_string()).collect()
}

async fn admin(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn the_tables_are_behind_the_fence_of_the_workspace() {
    let (_store, server, url) = server("pgv_fence").await;
    for workspace in ["wsp_a", "wsp_b"] {
        let place = place(&server, workspace, &format!("spc_{workspace}"), 2);
        let documents = wanted(&[(workspace, "1")]);
        let entry = entry(workspace, "apples", Some(&[1.0, 0.0]));
        assert_eq!(place.bring(1, &documents, &[entry]).await.unwrap(), Progress::There);
    }
    let (a, stranger) = (place(&server, "wsp_a", "spc_wsp_a", 2), place(&server, "wsp_b", "spc_wsp_a", 2));
    assert_eq!(words(&a, "apples").await, ["wsp_a"]);
    assert!(words(&stranger, "apples").await.is_empty(), "the name of a space does not open it");
    assert!(stranger.search_vector(&[1.0, 0.0], 5, &all(9)).await.unwrap().is_empty());
    assert!(stranger.vectors(&["wsp_a"]).await.unwrap().is_empty());
    // The app role with statements of its own.
    let client = admin(&url).await;
    client.batch_execute("SET ROLE neonhub_app; SET search_path = neonhub, public").await.unwrap();
    for table in ["_passage", "_passage_document", "_passage_space"] {
        let text = format!("SELECT count(*) FROM {table}");
        let count = |row: tokio_postgres::Row| row.get::<_, i64>(0);
        client.batch_execute("RESET neonhub.workspace").await.unwrap();
        assert_eq!(count(client.query_one(&text, &[]).await.unwrap()), 0, "{table}");
        client.batch_execute("SET neonhub.workspace = 'wsp_b'").await.unwrap();
        assert_eq!(count(client.query_one(&text, &[]).await.unwrap()), 1, "{table}");
        let over = format!("UPDATE {table} SET workspace_id = 'wsp_a'");
        assert!(client.batch_execute(&over).await.is_err(), "a row cannot be pushed over the fence");
        assert!(client.batch_execute(&format!("ALTER TABLE {table} ADD COLUMN x text")).await.is_err());
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_slow_process_never_brings_an_index_back() {
    let (_store, server, _) = server("pgv_race").await;
    let (one, two) = (place(&server, "w", "s", 2), place(&server, "w", "s", 2));
    let (old, new) = (wanted(&[("a", "1"), ("gone", "1")]), wanted(&[("a", "2"), ("b", "1")]));
    let missing = |progress| match progress {
        Progress::Missing(ids) => ids.into_iter().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(one.progress(10, &old).await.unwrap()), ["a", "gone"]);
    // The other one is at a later position, and dies half way.
    let progress = two.bring(12, &new, &[entry("a", "pears", None)]).await.unwrap();
    assert_eq!(missing(progress), ["b"]);
    let first = [entry("a", "apples", None), entry("gone", "plums", None)];
    assert_eq!(one.bring(10, &old, &first).await.unwrap(), Progress::Behind);
    assert_eq!(one.progress(10, &old).await.unwrap(), Progress::Behind);
    assert!(words(&one, "plums").await.is_empty(), "what is deleted at a later position never comes back");
    // It reads the records again and ends what the other began; nothing is written twice.
    assert_eq!(missing(one.progress(12, &new).await.unwrap()), ["b"]);
    assert_eq!(one.bring(12, &new, &[entry("b", "figs", None)]).await.unwrap(), Progress::There);
    assert_eq!(two.bring(12, &new, &[entry("b", "other figs", None)]).await.unwrap(), Progress::There);
    assert_eq!(words(&two, "other").await, Vec::<String>::new());
    assert_eq!((words(&two, "pears").await, words(&two, "figs").await), (vec!["a".into()], vec!["b".into()]));
    // A move to another embedder leaves no vector of the old one.
    let moved = Place::new(Arc::clone(&server), "w", "s", "other", 3);
    assert_eq!(moved.progress(12, &new).await.unwrap(), Progress::Behind);
    let newest = wanted(&[("a", "2 other"), ("b", "1 other")]);
    let progress = moved.bring(13, &newest, &[entry("a", "pears", Some(&[0.0, 1.0, 0.0]))]).await.unwrap();
    assert_eq!(missing(progress), ["b"]);
    assert_eq!(moved.search_vector(&[0.0, 1.0, 0.0], 5, &all(2)).await.unwrap().len(), 1);
    assert!(one.search_vector(&[0.0, 1.0], 5, &all(2)).await.unwrap().is_empty());
    assert_eq!(one.bring(12, &new, &[]).await.unwrap(), Progress::Behind);
    assert_eq!(words(&moved, "figs").await, ["b"], "words stay while the vectors move");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn many_writers_end_with_what_is_wanted() {
    let (_store, server, _) = server("pgv_writers").await;
    let names: Vec<String> = (0..24).map(name).collect();
    let documents: Wanted = names.iter().map(|n| (n.clone(), ("1".to_owned(), 1))).collect();
    let mut tasks = Vec::new();
    for worker in 0..4 {
        let (place, names, documents) = (place(&server, "w", "s", 2), names.clone(), documents.clone());
        tasks.push(tokio::spawn(async move {
            let mut at = worker;
            while let Progress::Missing(_) = place.progress(5, &documents).await.unwrap() {
                place.bring(5, &documents, &[entry(&names[at % 24], "plain words", None)]).await.unwrap();
                at += 1;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let place = place(&server, "w", "s", 2);
    let languages = ["en".to_owned()].into();
    let found = place.search_words("plain", &languages, 100, &all(24), FieldBoosts::default()).await.unwrap();
    assert_eq!(found.len(), 24);
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn other_spaces_go_when_they_are_swept() {
    let (_store, server, _) = server("pgv_sweep").await;
    for space in ["kept", "retired"] {
        let place = place(&server, "w", space, 2);
        place.bring(1, &wanted(&[(space, "1")]), &[entry(space, "apples", None)]).await.unwrap();
    }
    server.keep_only("w", &["kept".to_owned()]).await.unwrap();
    assert_eq!(words(&place(&server, "w", "kept", 2), "apples").await, ["kept"]);
    assert!(words(&place(&server, "w", "retired", 2), "apples").await.is_empty());
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn a_user_that_owns_the_database_and_has_no_roles_is_fenced_as_well() {
    let url = database("pgv_owner").await;
    let (client, login) = (admin(&url).await, format!("owner_{}", std::process::id()));
    client.batch_execute(&format!("DROP ROLE IF EXISTS {login}; CREATE ROLE {login} LOGIN")).await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    client.batch_execute(&format!("ALTER DATABASE {name} OWNER TO {login}")).await.unwrap();
    let store = PostgresStore::open(&url.replacen("postgres@", &format!("{login}@"), 1)).await.unwrap();
    // Where pgvector is not a trusted extension, only an administrator may create it.
    if let Err(refused) = Server::open(store.side().unwrap()).await {
        assert_eq!(refused.kind(), ErrorKind::Config);
        client.batch_execute("CREATE EXTENSION vector").await.unwrap();
    }
    let server = Server::open(store.side().unwrap()).await.unwrap();
    for workspace in ["wsp_a", "wsp_b"] {
        let place = place(&server, workspace, &format!("spc_{workspace}"), 2);
        let documents = wanted(&[(workspace, "1")]);
        place.bring(1, &documents, &[entry(workspace, "apples", Some(&[1.0, 0.0]))]).await.unwrap();
        assert_eq!(words(&place, "apples").await, [workspace]);
        assert_eq!(place.search_vector(&[1.0, 0.0], 5, &all(1)).await.unwrap().len(), 1);
    }
    let text = format!("SET ROLE {login}; SET neonhub.workspace = 'wsp_b'");
    client.batch_execute(&text).await.unwrap();
    let count = client.query_one("SELECT count(*) FROM neonhub._passage", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 1, "the fence holds for the owner too");
    // The tables are there: another process needs no rights to make them.
    Server::open(store.side().unwrap()).await.unwrap();
    store.close().await.unwrap();
    drop(server);
    let away = format!(
        "RESET ROLE; DROP OWNED BY {login} CASCADE; ALTER DATABASE {name} OWNER TO postgres; DROP ROLE {login}"
    );
    client.batch_execute(&away).await.unwrap();
}
