//! Counting calls: which bucket a call belongs to, and what its rate is now.

use super::{Counted, Rate};
use crate::scope::Principal;
use crate::{Result, Scope};

impl Scope {
    /// The bucket of this principal's calls; none for agents and built-in jobs, whose calls belong to someone's.
    pub(crate) fn own_bucket(&self) -> Option<(Counted, String)> {
        match self.principal() {
            Principal::User { .. } | Principal::ApiKey { .. } => {
                Some((Counted::Principal, format!("{}|{}", Counted::Principal.word(), self.label())))
            }
            Principal::Agent { .. } | Principal::System { .. } => None,
        }
    }

    /// Counts one call of a kind. `name` tells the buckets of the kind apart.
    ///
    /// Hosts call it for public entry points and webhooks; the door counts calls of principals, the runs count agents.
    ///
    /// # Errors
    /// `RateLimited` with the wait after which one call is admitted.
    pub async fn admit(&self, counted: Counted, name: &str) -> Result<()> {
        self.admit_bucket(counted, &format!("{}|{name}", counted.word())).await
    }

    pub(crate) async fn admit_bucket(&self, counted: Counted, bucket: &str) -> Result<()> {
        match self.rate_of(counted, bucket).await? {
            Some(rate) => self.take(bucket, rate).await,
            None => Ok(()),
        }
    }

    /// The rate of a bucket: an override of the bucket, of its kind, a key's own, the profile's.
    pub(crate) async fn rate_of(&self, counted: Counted, bucket: &str) -> Result<Option<Rate>> {
        let own = self.own_rate().filter(|_| counted == Counted::Principal);
        let standard = own.or_else(|| self.hub().limits().rate(counted));
        let control = self.control().await?;
        let now = self.now();
        let set = [bucket, counted.word()]
            .into_iter()
            .find_map(|id| control.overrides.iter().find(|o| o.id == id && o.until > now));
        Ok(set.map_or(standard, |o| o.rate))
    }
}
