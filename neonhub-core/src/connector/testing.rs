//! A gate for tests of what lies behind the gate.

use async_trait::async_trait;

use super::{Decision, Gate, Judgement, Proposal};
use crate::{Result, Scope};

/// A gate that lets every message through. Connectors and queues are tested and measured behind it.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

#[async_trait]
impl Gate for AllowAll {
    fn name(&self) -> &'static str {
        "allow-all"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    async fn judge(&self, _cx: &Scope, proposals: &[Proposal]) -> Result<Vec<Judgement>> {
        let allow = Judgement { decision: Decision::Allow, until: None, reasons: vec![], guards: vec![] };
        Ok(vec![allow; proposals.len()])
    }
}
