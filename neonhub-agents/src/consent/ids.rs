//! Ids of consent records.

neonhub_core::id_type!(ConsentId, "con", "A row of the consent ledger.");
neonhub_core::id_type!(ConsentTextId, "ctx", "A wording that people agreed to.");
neonhub_core::id_type!(SuppressionId, "sup", "A suppressed address, domain or person.");
