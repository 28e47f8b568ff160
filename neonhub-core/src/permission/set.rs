//! Sets of permissions.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{AppPermission, Permission};

/// A set of permissions. That of an owner holds also what a host will ever declare under `app:`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PermissionSet {
    /// Words of NeonHub, a bit each.
    base: u64,
    /// Words of hosts.
    app: AppSet,
}

/// A set of words that nobody can list: hosts make them up.
#[derive(Clone, PartialEq, Eq)]
enum AppSet {
    Only(Words),
    AllBut(Words),
}

/// No words are `None`, so that equal sets are equal.
type Words = Option<Arc<BTreeSet<AppPermission>>>;

impl Default for AppSet {
    fn default() -> Self {
        AppSet::Only(None)
    }
}

fn words(all: impl Iterator<Item = AppPermission>) -> Words {
    let all: BTreeSet<AppPermission> = all.collect();
    (!all.is_empty()).then(|| Arc::new(all))
}

fn list(words: &Words) -> impl Iterator<Item = AppPermission> {
    words.iter().flat_map(|all| all.iter().copied())
}

impl AppSet {
    fn has(&self, word: AppPermission) -> bool {
        let is_in = |words: &Words| words.as_ref().is_some_and(|all| all.contains(&word));
        match self {
            AppSet::Only(some) => is_in(some),
            AppSet::AllBut(some) => !is_in(some),
        }
    }

    fn inverse(&self) -> Self {
        match self {
            AppSet::Only(some) => AppSet::AllBut(some.clone()),
            AppSet::AllBut(some) => AppSet::Only(some.clone()),
        }
    }

    fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            // What every call of an owner comes to: no word is looked at.
            (AppSet::AllBut(None), rest) | (rest, AppSet::AllBut(None)) => rest.clone(),
            (AppSet::AllBut(a), AppSet::AllBut(b)) => AppSet::AllBut(words(list(a).chain(list(b)))),
            (AppSet::Only(some), rest) | (rest, AppSet::Only(some)) => {
                AppSet::Only(words(list(some).filter(|word| rest.has(*word))))
            }
        }
    }
}

impl PermissionSet {
    /// No rights.
    pub const NONE: PermissionSet = PermissionSet::base(&[]);

    /// The set of these words.
    #[must_use]
    pub fn of(words: &[Permission]) -> Self {
        words.iter().copied().collect()
    }

    /// The set of these words, none of them a host's.
    pub(super) const fn base(words: &[Permission]) -> Self {
        let mut bits = 0;
        let mut rest = words;
        while let [first, tail @ ..] = rest {
            if let Some(bit) = first.bit() {
                bits |= bit;
            }
            rest = tail;
        }
        PermissionSet { base: bits, app: AppSet::Only(None) }
    }

    /// Every right, those of the host included.
    #[must_use]
    pub fn all() -> Self {
        PermissionSet { app: AppSet::AllBut(None), ..PermissionSet::base(Permission::ALL) }
    }

    /// True when `word` is in the set.
    #[must_use]
    pub fn has(&self, word: Permission) -> bool {
        match word {
            Permission::App(word) => self.app.has(word),
            word => word.bit().is_some_and(|bit| self.base & bit != 0),
        }
    }

    /// True when every word of `other` is in the set.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.intersection(other) == *other
    }

    /// What both sets hold.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        PermissionSet { base: self.base & other.base, app: self.app.intersection(&other.app) }
    }

    /// This set without `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        PermissionSet { base: self.base & !other.base, app: self.app.intersection(&other.app.inverse()) }
    }

    /// The words: those of NeonHub in catalogue order, then those of the host as far as the set names them. A set with
    /// every right names none of the host's: [`Scope::permission_words`](crate::Scope::permission_words) does.
    pub fn iter(&self) -> impl Iterator<Item = Permission> {
        let named = match &self.app {
            AppSet::Only(some) => some.clone(),
            AppSet::AllBut(_) => None,
        };
        let named: Vec<Permission> = list(&named).map(Permission::App).collect();
        let base = self.base;
        let is_in = move |word: &Permission| word.bit().is_some_and(|bit| base & bit != 0);
        Permission::ALL.iter().copied().filter(is_in).chain(named)
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(all: I) -> Self {
        let mut base = 0;
        let mut app = BTreeSet::new();
        for word in all {
            match word {
                Permission::App(word) => drop(app.insert(word)),
                word => base |= word.bit().unwrap_or_default(),
            }
        }
        PermissionSet { base, app: AppSet::Only(words(app.into_iter())) }
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        set.entries(self.iter());
        if let AppSet::AllBut(some) = &self.app {
            set.entry(&"app:*");
            set.entries(list(some).map(|word| format!("!{}", word.word())));
        }
        set.finish()
    }
}
