//! Files of every shape: good rows come through, bad ones say why, and every row is counted.

use proptest::prelude::*;

use super::*;
use crate::consent::{Channel, Status};

const HEADER: &str = "email,phone,first_name,last_name,locale,timezone,country,consent_email,consent_sms,consent_at,consent_source,consent_text,tags";

fn read_bytes(bytes: &[u8]) -> (Vec<ContactRow>, Encoding) {
    let mut reader = ContactReader::open(bytes, &ReadOptions::default()).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        rows.push(row);
    }
    assert_eq!(reader.rows(), rows.len() as u64);
    (rows, reader.encoding())
}

fn read(text: &str) -> Vec<ContactRow> {
    read_bytes(text.as_bytes()).0
}

fn fields(row: &ContactRow) -> Vec<&str> {
    row.faults.iter().map(|f| f.field.as_str()).collect()
}

fn mail(row: &ContactRow) -> &str {
    row.email.as_ref().map_or("", |e| &e.normal.key.text)
}

fn refused(text: &str) -> String {
    ContactReader::open(text.as_bytes(), &ReadOptions::default()).unwrap_err().to_string()
}

const FULL: &str = "Ann@Shop.example,+1 202 555 0143,Ann,\"Lee, Dr\",en_us,America/New_York,us,granted,revoked,2026-01-02T03:04:05Z,signup form,\"I agree to \"\"news\"\"\",vip; beta ;vip";

#[test]
fn full_row_fills_every_field() {
    let rows = read(&format!("{HEADER},Shoe Size\n{FULL},42\n"));
    let row = &rows[0];
    assert!(row.faults.is_empty(), "{:?}", row.faults);
    assert_eq!((row.row, row.line), (1, 2));
    assert_eq!(mail(row), "ann@shop.example");
    assert_eq!(&*row.email.as_ref().unwrap().value, "Ann@Shop.example");
    assert_eq!(&*row.phone.as_ref().unwrap().normal.key.text, "+12025550143");
    assert_eq!((row.first_name.as_deref(), row.last_name.as_deref()), (Some("Ann"), Some("Lee, Dr")));
    assert_eq!((row.locale.as_deref(), row.country.as_deref()), (Some("en-US"), Some("US")));
    let tags: Vec<&str> = row.tags.iter().map(AsRef::as_ref).collect();
    assert_eq!(tags, ["vip", "beta"]);
    assert_eq!((&*row.traits[0].0, &*row.traits[0].1), ("Shoe Size", "42"));
    assert_eq!(row.consents.len(), 2);
    let (email, sms) = (&row.consents[0], &row.consents[1]);
    assert_eq!((&email.channel, email.status), (&Channel::Email, Status::Granted));
    assert_eq!((&sms.channel, sms.status), (&Channel::Sms, Status::Revoked));
    assert_eq!(email.text.as_deref(), Some("I agree to \"news\""));
    assert_eq!(email.at.unwrap().to_string(), "2026-01-02T03:04:05Z");
}

#[test]
fn every_delimiter_line_end_and_encoding_reads_the_same() {
    let text = format!(
        "{HEADER}\nren\u{e9}@shop.example,,Ren\u{e9}e,\"M\u{fc}ller\n\u{201e}x\u{201c}\",,,,,,,,,\nb@shop.example\n"
    );
    let expected: Vec<_> = read(&text).iter().map(|r| (mail(r).to_owned(), r.first_name.clone())).collect();
    assert_eq!(expected[0].1.as_deref(), Some("Ren\u{e9}e"));
    assert_eq!(expected.len(), 2);
    let check = |bytes: &[u8], encoding: Encoding| {
        let (rows, found) = read_bytes(bytes);
        let got: Vec<_> = rows.iter().map(|r| (mail(r).to_owned(), r.first_name.clone())).collect();
        assert_eq!(got, expected);
        assert_eq!(found, encoding);
    };
    check(format!("\u{feff}{text}").as_bytes(), Encoding::Utf8);
    check(text.replace('\n', "\r\n").as_bytes(), Encoding::Utf8);
    check(text.replace('\n', "\r").as_bytes(), Encoding::Utf8);
    for delimiter in [";", "\t", "|"] {
        check(text.replace(',', delimiter).as_bytes(), Encoding::Utf8);
    }
    let (latin, _, is_lossy) = encoding_rs::WINDOWS_1252.encode(&text);
    assert!(!is_lossy);
    check(&latin, Encoding::Windows1252);
    let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    check(&le, Encoding::Utf16Le);
    check(&be, Encoding::Utf16Be);
    check(&[&[0xff, 0xfe], le.as_slice()].concat(), Encoding::Utf16Le);
    check(&[&[0xfe, 0xff], be.as_slice()].concat(), Encoding::Utf16Be);
}

#[test]
fn accents_far_behind_the_first_chunk_are_still_read() {
    let mut bytes = b"email,first_name\n".to_vec();
    for n in 0..20_000 {
        bytes.extend_from_slice(format!("a{n}@shop.example,Ann\n").as_bytes());
    }
    bytes.extend_from_slice(b"z@shop.example,Ren\xe9\n");
    let (rows, encoding) = read_bytes(&bytes);
    assert_eq!(rows.len(), 20_001);
    assert_eq!(rows[20_000].first_name.as_deref(), Some("Ren\u{e9}"));
    assert_eq!(encoding, Encoding::Windows1252);
}

/// Gives one byte at a time, so that every boundary falls between two reads.
struct Drip<'a>(&'a [u8]);

impl std::io::Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.len().min(1).min(buf.len());
        buf[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn chunk_boundaries_change_nothing() {
    let text = format!("{HEADER}\r\n{FULL}\r\n\r\n\u{e9}@shop.example,,\"a\r\nb\",,,,,,,,,,\r\n");
    let mut reader = ContactReader::open(Drip(text.as_bytes()), &ReadOptions::default()).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        rows.push(row);
    }
    assert_eq!(rows, read(&text));
    assert_eq!(rows[1].line, 4);
}

#[test]
fn a_good_identifier_saves_the_row_and_the_bad_one_is_reported() {
    let rows = read("email,phone\nnot an address,+12025550143\na@shop.example,12\nnull,none\n,\n");
    assert!(rows[0].is_importable() && rows[1].is_importable());
    assert_eq!(fields(&rows[0]), ["email"]);
    assert_eq!(fields(&rows[1]), ["phone"]);
    assert!(rows[..2].iter().all(|r| r.faults.iter().all(|f| !f.row_rejected)));
    assert_eq!(fields(&rows[2]), ["email", "phone", "row"]);
    assert!(rows[2].faults.iter().all(|f| f.row_rejected));
    assert_eq!(fields(&rows[3]), ["row"]);
    assert!(!rows[2].is_importable() && !rows[3].is_importable());
}

#[test]
fn reasons_never_hold_the_value() {
    let rows = read(&format!(
        "{HEADER}\nsecret@@x,secret,,,secret!,Secret/Zone,Secretland,secret,secret,secret,,,\n"
    ));
    assert!(rows[0].faults.len() >= 5);
    assert!(
        rows[0].faults.iter().all(|f| !f.reason.to_lowercase().contains("secret")),
        "{:?}",
        rows[0].faults
    );
}

#[test]
fn rule_7_grant_without_time_source_or_text_lacks_proof_and_the_person_stays() {
    let row = |at: &str, source: &str, text: &str| {
        read(&format!("{HEADER}\na@shop.example,,,,,,,granted,,{at},{source},{text},\n")).remove(0)
    };
    assert_eq!(row("2026-01-01T00:00:00Z", "form", "yes").consents.len(), 1);
    for (at, source, text) in
        [("", "form", "yes"), ("2026-01-01T00:00:00Z", "", "yes"), ("2026-01-01T00:00:00Z", "form", "")]
    {
        let row = row(at, source, text);
        assert!(row.is_importable() && row.consents.is_empty());
        assert_eq!(fields(&row), ["consent_email"]);
        assert!(row.faults[0].reason.contains("lacks proof"));
    }
    let undated = row("yesterday", "form", "yes");
    assert_eq!(fields(&undated), ["consent_at", "consent_email"]);
}

#[test]
fn a_no_without_its_instant_is_kept() {
    let rows = read(&format!("{HEADER}\na@shop.example,,,,,,,revoked,pending,,,,\n"));
    assert_eq!(rows[0].consents.len(), 2);
    assert!(rows[0].consents.iter().all(|c| c.at.is_none()));
    assert!(rows[0].faults.is_empty());
}

#[test]
fn unknown_consent_word_is_reported_and_grants_nothing() {
    let rows = read(&format!("{HEADER}\na@shop.example,,,,,,,yes,,2026-01-01T00:00:00Z,form,text,\n"));
    assert!(rows[0].consents.is_empty());
    assert_eq!(fields(&rows[0]), ["consent_email"]);
}

#[test]
fn a_megabyte_in_one_cell_costs_that_field_only() {
    let huge = "x".repeat(1_000_000);
    let rows = read(&format!(
        "email,first_name,note\na@shop.example,{huge},{huge}\n{huge}@shop.example,b,\nc@shop.example,c,\n"
    ));
    assert_eq!(fields(&rows[0]), ["first_name", "note"]);
    assert_eq!(mail(&rows[0]), "a@shop.example");
    assert!(rows[0].traits.is_empty());
    assert!(!rows[1].is_importable());
    assert_eq!((mail(&rows[2]), rows[2].line), ("c@shop.example", 4));
}

#[test]
fn an_open_quote_costs_its_own_line_only() {
    let rows = read("email,first_name\n\"a@shop.example,Ann\nb@shop.example,Bob\nc@shop.example,Cid\n");
    assert_eq!(fields(&rows[0]), ["row"]);
    let mails: Vec<_> = rows.iter().map(mail).collect();
    assert_eq!(mails, ["", "b@shop.example", "c@shop.example"]);
    assert_eq!(rows[2].line, 4);
    // The next quoted cell would close it: the lines between are still good.
    let rows = read(
        "email,first_name\na@shop.example,\"Ann\nb@shop.example,Bob\nc@shop.example,\"Cid\"\nd@shop.example,\n",
    );
    let mails: Vec<_> = rows.iter().map(mail).collect();
    assert_eq!(mails, ["", "b@shop.example", "c@shop.example", "d@shop.example"]);
}

#[test]
fn an_open_quote_before_megabytes_of_rows_loses_none_of_them() {
    let mut text = String::from("email,first_name\nx@shop.example,\"X\n");
    let rows = 250_000;
    for n in 0..rows {
        text.push_str(&format!("a{n}@shop.example,Ann\n"));
    }
    assert!(text.len() > MAX_ROW_BYTES);
    let mut reader = ContactReader::open(text.as_bytes(), &ReadOptions::default()).unwrap();
    assert!(!reader.next_row().unwrap().unwrap().is_importable());
    reader.skip_rows(rows).unwrap();
    assert_eq!(mail(&reader.next_row().unwrap().unwrap()), format!("a{}@shop.example", rows - 1));
    assert!(reader.next_row().unwrap().is_none());
}

#[test]
fn surplus_cells_reject_the_row_and_missing_ones_are_empty() {
    let rows = read("email,first_name\na@shop.example,Ann,Lee\nb@shop.example\nc@shop.example,Cid,,\n");
    assert_eq!(fields(&rows[0]), ["row"]);
    assert!(!rows[0].is_importable());
    assert!(rows[1].is_importable() && rows[1].faults.is_empty());
    assert!(rows[2].is_importable() && rows[2].faults.is_empty());
}

#[test]
fn missing_columns_are_one_error_that_lists_them() {
    let error = refused("name,city\nAnn,Rome\n");
    for column in ["email", "phone", "consent_at", "tags"] {
        assert!(error.contains(column), "{error}");
    }
    assert!(refused("email:name\n").contains("check the delimiter"));
    assert!(refused("email,Email\n").contains("two columns for email"));
    assert!(refused("").contains("empty"));
    assert!(refused("\n\n").contains("missing") || refused("\n\n").contains("empty"));
}

#[test]
fn header_names_are_read_loosely() {
    let rows = read(" Email ,First-Name\na@shop.example,Ann\n");
    assert_eq!(rows[0].first_name.as_deref(), Some("Ann"));
}

#[test]
fn mapping_and_delimiter_can_be_given() {
    let options = ReadOptions {
        delimiter: Some('|'),
        mapping: vec![("Kontakt".into(), "email".into())],
        default_region: Some("AT".into()),
    };
    let mut reader =
        ContactReader::open(&b"Kontakt|phone\na@shop.example|0664 1234567\n"[..], &options).unwrap();
    let row = reader.next_row().unwrap().unwrap();
    assert_eq!(mail(&row), "a@shop.example");
    assert_eq!(&*row.phone.unwrap().normal.key.text, "+436641234567");
    let bad = ReadOptions { delimiter: Some('x'), ..ReadOptions::default() };
    assert!(ContactReader::open(&b"email\n"[..], &bad).is_err());
}

#[test]
fn header_alone_is_an_empty_file_of_contacts() {
    assert!(read(HEADER).is_empty());
    assert!(read(&format!("{HEADER}\n\n  \n")).is_empty());
}

#[test]
fn skipping_goes_on_where_reading_stopped() {
    let text = "email\na@shop.example\n\nb@shop.example\nc@shop.example\n";
    let mut reader = ContactReader::open(text.as_bytes(), &ReadOptions::default()).unwrap();
    reader.skip_rows(2).unwrap();
    let row = reader.next_row().unwrap().unwrap();
    assert_eq!((row.row, row.line, mail(&row)), (3, 5, "c@shop.example"));
}

/// A cell as RFC 4180 writes it.
fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

proptest! {
    #[test]
    fn any_cell_survives_quoting(names in prop::collection::vec("[ -~\u{e4}\r\n\"]{0,40}", 1..8)) {
        let mut text = String::from("email,note\n");
        for (n, name) in names.iter().enumerate() {
            text.push_str(&format!("a{n}@shop.example,{}\n", quoted(name)));
        }
        let rows = read(&text);
        prop_assert_eq!(rows.len(), names.len());
        for (n, (row, name)) in rows.iter().zip(&names).enumerate() {
            prop_assert_eq!(mail(row), format!("a{n}@shop.example"));
            let trait_value = row.traits.first().map_or("", |t| &t.1);
            prop_assert_eq!(trait_value, name.trim());
        }
    }

    #[test]
    fn any_bytes_behind_a_header_are_rows_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = b"email,phone,first_name\n".to_vec();
        file.extend_from_slice(&bytes);
        let (rows, _) = read_bytes(&file);
        for row in rows {
            prop_assert!(row.is_importable() || row.faults.iter().any(|f| f.row_rejected));
        }
    }

    #[test]
    fn any_bytes_open_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ContactReader::open(bytes.as_slice(), &ReadOptions::default());
    }
}

#[test]
fn a_consent_without_the_columns_of_its_proof_costs_the_consent_and_not_the_person() {
    let rows = read("email,consent_email\na@shop.example,granted\n");
    assert!(rows[0].is_importable());
    let fault = &rows[0].faults[0];
    assert!(!fault.row_rejected && fields(&rows[0]).contains(&"consent_email"), "{fault:?}");
}
