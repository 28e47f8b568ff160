//! Ids of people records.

neonhub_core::id_type!(PersonId, "per", "A person.");
neonhub_core::id_type!(IdentityId, "idn", "An address, number or name that a person is found by.");
neonhub_core::id_type!(MergeId, "mrg", "A merge of two people.");
neonhub_core::id_type!(CandidateId, "mca", "Two people that may be one.");
neonhub_core::id_type!(ImportId, "imp", "An import of contacts.");
