//! From a row of the file to an intent: on the reading thread, hashes and seals included.

use std::collections::BTreeMap;
use std::sync::Arc;

use neonhub_core::{Result, Scope};
use serde_json::Value;

use super::read::MadeRow;
use crate::consent::{Basis, ConsentScope, ProofMethod};
use crate::people::csv::ContactRow;
use crate::people::engine::{ConsentIntent, ConsentWording, Fields, Given, Intent};
use crate::people::hash;

/// Wordings kept; a file has a few, and one per row must not grow without end.
const MAX_WORDINGS: usize = 256;

/// Makes intents.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) cx: Scope,
    pub(super) source: String,
    pub(super) tags: Vec<String>,
    pub(super) scope: ConsentScope,
    pub(super) basis: Basis,
    pub(super) brand: Option<String>,
    pub(super) wordings: BTreeMap<Box<str>, Arc<ConsentWording>>,
}

impl Maker {
    pub(super) fn make(&mut self, row: ContactRow) -> Result<MadeRow> {
        let (number, line) = (row.row, row.line);
        if !row.is_importable() {
            return Ok(MadeRow { row: number, line, faults: row.faults, intent: None });
        }
        let mut given = Vec::with_capacity(2);
        for identity in row.email.into_iter().chain(row.phone) {
            given.push(Given::new(self.cx.sealer(), identity.normal, &identity.value)?);
        }
        let mut consents = Vec::with_capacity(row.consents.len());
        for said in row.consents {
            consents.push(ConsentIntent {
                channel: said.channel,
                scope: self.scope.clone(),
                brand: self.brand.clone(),
                status: said.status,
                basis: self.basis,
                source: said.source.map_or_else(|| self.source.clone(), Into::into),
                at: said.at,
                text: said.text.as_deref().map(|text| self.wording(text)),
                method: ProofMethod::Import,
            });
        }
        let mut tags = row.tags;
        tags.extend(self.tags.iter().map(|t| t.as_str().into()));
        let fields = Fields {
            first_name: row.first_name,
            last_name: row.last_name,
            locale: row.locale,
            timezone: row.timezone,
            country: row.country,
            region: None,
            tags,
            traits: row
                .traits
                .into_iter()
                .map(|(name, value)| (name, Value::from(String::from(value))))
                .collect(),
            metadata: Vec::new(),
        };
        let intent = Intent { row: number, given, fields, consents, create: true };
        Ok(MadeRow { row: number, line, faults: row.faults, intent: Some(intent) })
    }

    /// The wording with its hash, made once.
    fn wording(&mut self, body: &str) -> Arc<ConsentWording> {
        if let Some(known) = self.wordings.get(body) {
            return Arc::clone(known);
        }
        let made = Arc::new(ConsentWording { body: body.to_owned(), hash: hash::sha256_hex(body) });
        if self.wordings.len() < MAX_WORDINGS {
            self.wordings.insert(body.into(), Arc::clone(&made));
        }
        made
    }
}
