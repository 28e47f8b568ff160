//! The tables of the indexes in a PostgreSQL database.
//!
//! `_passage` holds one row per chunk: its words as a `tsvector` and its vector as a `halfvec`; `_passage_document` the
//! documents whose chunks are in it; `_passage_space` the position of the feed that both reflect. All three are behind
//! the fence of the workspace.

use neonhub_core::store::postgres::PostgresSide;

/// Name of these tables in the list of side tables.
pub(super) const NAME: &str = "passages";

/// The steps to the newest form.
pub(super) fn steps(side: &PostgresSide, vector: &str) -> Vec<String> {
    let tables = TABLES.replace("{s}", &quoted(side.schema())).replace("{v}", &quoted(vector));
    let fences = ["_passage_space", "_passage_document", "_passage"].map(|table| side.fence(table)).concat();
    vec![format!("{tables} {fences}"), WORDS.replace("{s}", &quoted(side.schema()))]
}

/// A name in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL, for statements that take no parameters.
pub(super) fn literal(text: &str) -> String {
    // Without backslashes a literal reads the same whatever `standard_conforming_strings` says.
    let text = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

// Vectors stay in the row, for scans; words move out of it. No statistics over words: they would keep some of a deleted
// text in the catalogue. Pending entries of the word index
// are off: they would make one search in a hundred pay for the others.
const TABLES: &str = "
    CREATE TABLE {s}._passage_space (
        workspace_id text COLLATE \"C\" NOT NULL, space text COLLATE \"C\" NOT NULL,
        seq bigint NOT NULL, goal bigint NOT NULL, embedder text NOT NULL,
        PRIMARY KEY (workspace_id, space)
    );
    CREATE TABLE {s}._passage_document (
        workspace_id text COLLATE \"C\" NOT NULL, space text COLLATE \"C\" NOT NULL,
        document text COLLATE \"C\" NOT NULL, hash text NOT NULL, chunks integer NOT NULL, words bigint NOT NULL,
        PRIMARY KEY (workspace_id, space, document)
    );
    CREATE TABLE {s}._passage (
        workspace_id text COLLATE \"C\" NOT NULL, space text COLLATE \"C\" NOT NULL,
        id text COLLATE \"C\" NOT NULL, document text COLLATE \"C\" NOT NULL, embedder text COLLATE \"C\" NOT NULL,
        words integer NOT NULL, lexemes tsvector NOT NULL, embedding {v}.halfvec,
        PRIMARY KEY (workspace_id, space, id)
    );
    ALTER TABLE {s}._passage ALTER COLUMN embedding SET STORAGE MAIN;
    CREATE INDEX _passage__document ON {s}._passage (workspace_id, space, document);
    CREATE INDEX _passage__lexemes ON {s}._passage USING gin (lexemes) WITH (fastupdate = off);
    ALTER TABLE {s}._passage ALTER COLUMN lexemes SET STATISTICS 0, ALTER COLUMN embedding SET STATISTICS 0;
";

// The search over words. It runs with the rights of the owner of the table and puts up the fence itself: row-level
// security keeps the word index from being used, since the matching of words is not marked leakproof. Where the app has
// no role of its own, it owns the table: there the fence stays in force for the owner, and the search reads the rows.
//
// Words that stand in fewer than `rare` chunks choose the chunks; where those are fewer than `k`, some others with any of
// the words fill up. Of each at most `most` are ranked. A clause is a word or a phrase in its forms, and its score that of
// the embedded index: its occurrences, weighted by their field, through BM25 (k1 1.2, b 0.75), with its rarity among the
// chunks that may be seen. What `ts_rank` gives n occurrences of a word of full weight is the sum of 1 / i^2 up to n, over
// pi^2 / 6; what that sum still lacks is close to 1 / (n + 1/2), so n is read from it. A phrase (more than one node)
// counts once.
const WORDS: &str = "
    CREATE OR REPLACE FUNCTION {s}._passage_words(
        mark tsquery, required tsquery, clauses tsquery[], forms tsquery[], clause_of integer[], weights real[],
        documents text[], ids text[], total double precision, mean double precision, rare bigint, most bigint, k bigint
    ) RETURNS TABLE (id text, score double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, {s}, pg_temp AS $body$
    #variable_conflict use_column
    DECLARE
        fence text := current_setting('neonhub.workspace', true);
        chosen tsquery := required;
        anything tsquery;
        single tsquery;
        found bigint;
        held bigint := 0;
        filling bigint := 0;
        is_common boolean[] := '{}';
    BEGIN
        IF required IS NULL THEN
            FOREACH single IN ARRAY clauses LOOP
                SELECT count(*) INTO found FROM (
                    SELECT FROM _passage p WHERE p.lexemes @@ (mark && single) AND p.workspace_id || '' = fence
                        AND (documents IS NULL OR p.document || '' = ANY (documents))
                        AND (ids IS NULL OR p.id || '' = ANY (ids)) LIMIT rare) AS few;
                is_common := is_common || (found >= rare);
                anything := CASE WHEN anything IS NULL THEN single ELSE anything || single END;
                IF found > 0 AND found < rare THEN
                    held := greatest(held, found);
                    chosen := CASE WHEN chosen IS NULL THEN single ELSE chosen || single END;
                END IF;
            END LOOP;
            filling := CASE WHEN chosen IS NULL THEN most WHEN held < k THEN 2 * rare ELSE 0 END;
        END IF;
        RETURN QUERY
        WITH ranked AS MATERIALIZED (
            SELECT p.id, p.words, (
                SELECT array_agg(c.often ORDER BY c.clause) FROM (
                    SELECT f.clause, sum(w.weight * CASE WHEN w.rank <= 0 THEN 0 WHEN numnode(f.form) > 1 THEN 1
                        WHEN w.rank < 0.97 THEN round(1 / (1.644934 * (1 - w.rank)) - 0.5)
                        ELSE greatest(20, w.rank / 0.607927) END) AS often
                    FROM unnest(forms, clause_of) AS f(form, clause), LATERAL (VALUES
                        (weights[1], ts_rank('{1,1,1,1}', field.title, f.form)),
                        (weights[2], ts_rank('{1,1,1,1}', field.headings, f.form)),
                        (weights[3], ts_rank('{1,1,1,1}', field.body, f.form))) AS w(weight, rank)
                    GROUP BY f.clause) c) AS counts
            FROM ((
                SELECT p.id, p.words, p.lexemes FROM _passage p
                WHERE p.lexemes @@ (mark && chosen) AND p.workspace_id || '' = fence
                    AND (documents IS NULL OR p.document || '' = ANY (documents))
                    AND (ids IS NULL OR p.id || '' = ANY (ids)) LIMIT most
            ) UNION ALL (
                SELECT p.id, p.words, p.lexemes FROM _passage p
                WHERE p.lexemes @@ (mark && anything) AND (chosen IS NULL OR NOT p.lexemes @@ chosen)
                    AND p.workspace_id || '' = fence
                    AND (documents IS NULL OR p.document || '' = ANY (documents))
                    AND (ids IS NULL OR p.id || '' = ANY (ids)) LIMIT filling
            )) p, LATERAL (SELECT ts_filter(p.lexemes, '{a}') AS title, ts_filter(p.lexemes, '{b}') AS headings,
                ts_filter(p.lexemes, '{d}') AS body OFFSET 0) AS field
        ), parts AS MATERIALIZED (
            SELECT r.id, u.clause, u.often, 1.2 * (0.25 + 0.75 * r.words / greatest(mean, 1)) AS room
            FROM ranked r, unnest(r.counts) WITH ORDINALITY AS u(often, clause) WHERE u.often > 0
        ), holders AS (
            SELECT p.clause, CASE WHEN coalesce(is_common[p.clause], false)
                THEN greatest(rare, total * count(*) / greatest((SELECT count(*) FROM ranked), 1)) ELSE count(*) END AS n
            FROM parts p GROUP BY p.clause
        )
        SELECT p.id, sum(ln(1 + (greatest(total, h.n) - h.n + 0.5) / (h.n + 0.5)) * 2.2 * p.often / (p.often + p.room))
        FROM parts p JOIN holders h ON h.clause = p.clause GROUP BY p.id
        ORDER BY 2 DESC, p.id LIMIT k;
    END $body$;
    DO $$ BEGIN
        REVOKE ALL ON FUNCTION {s}._passage_words FROM PUBLIC;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'neonhub_app') THEN
            GRANT EXECUTE ON FUNCTION {s}._passage_words TO neonhub_app;
        END IF;
        IF current_user = 'neonhub_migrate' THEN ALTER TABLE {s}._passage NO FORCE ROW LEVEL SECURITY; END IF;
    END $$;
";
