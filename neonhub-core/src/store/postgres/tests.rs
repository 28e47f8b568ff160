use std::sync::Arc;

use super::*;
use crate::store::conformance::postgres::database;

async fn open() -> Result<crate::store::SharedStore> {
    Ok(Arc::new(PostgresStore::open(&database("conformance").await).await?))
}

mod suite {
    crate::store_conformance!(
        ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`",
        super::open
    );
}
