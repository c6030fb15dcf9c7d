//! PostgreSQL: a table, a view, or the rows of a query, by a connection string.
//!
//! `postgres://USER@HOST/DATABASE::NAME` reads a table, `...::SELECT ...` a query. The rows come as the server's CSV
//! (`COPY ... TO STDOUT`) and are read like any CSV file, so types are decided as everywhere. The connection is not
//! encrypted: for servers that want TLS, `psql -c "COPY ..." | bngpu ... --data -` does the same.

use postgres::{Client, Config, NoTls};

use super::DataError;
use super::file::Spooled;
use crate::base::text::shorten;

/// A connection string without its password, for messages.
pub(crate) fn without_password(url: &str) -> String {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url[after..].find('/').map_or(url.len(), |at| after + at);
    match (url[after..end].rfind('@'), url[after..end].find(':')) {
        (Some(at), Some(colon)) if colon < at => format!("{}{}", &url[..after + colon], &url[after + at..]),
        _ => url.to_owned(),
    }
}

/// Copies a table, or the rows of a query, into a file of CSV with a header.
///
/// # Errors
/// What the server says, with what was asked of it.
pub(crate) fn spool(url: &str, selection: Option<&str>) -> Result<Spooled, DataError> {
    let file = without_password(url);
    let selection = selection.ok_or_else(|| {
        let remedy = format!("name a table, as in {file}::houses, or give a query: {file}::SELECT ...");
        DataError::file(&file, "names no table", remedy)
    })?;
    let mut config: Config = url.parse().map_err(|e: postgres::Error| {
        let what = format!("is no connection string ({})", causes(&e));
        DataError::file(&file, what, "write postgres://USER@HOST/DATABASE::TABLE")
    })?;
    // A run keeps its source and its command line.
    if config.get_password().is_some() {
        let what = "holds a password, which would be kept in the run's files";
        return Err(DataError::file(&file, what, "leave it out, and set PGPASSWORD"));
    }
    if let Ok(password) = std::env::var("PGPASSWORD") {
        config.password(password);
    }
    let failed = |e: postgres::Error| {
        let what = format!("cannot be read ({})", causes(&e));
        DataError::file(&file, what, "check it with psql; set PGPASSWORD where a password is needed")
    };
    let mut client = config.connect(NoTls).map_err(failed)?;
    // The same rows in the same order each time, and values as ISO writes them. Nothing can be changed.
    let settings = "SET default_transaction_read_only = on; SET synchronize_seqscans = off; \
                    SET max_parallel_workers_per_gather = 0; SET datestyle = ISO; SET timezone = 'UTC'; \
                    SET client_encoding = UTF8";
    client.batch_execute(settings).map_err(failed)?;
    let query = query(selection);
    let wrong = |e: postgres::Error| {
        let what = format!("{:?} fails ({})", shorten(&query), causes(&e));
        DataError::file(&file, what, "check the query with psql")
    };
    let mut rows = copy(&mut client, &query).map_err(wrong)?;
    Spooled::rows(&mut rows, format!("{file}::{selection}"))
}

fn copy<'a>(client: &'a mut Client, query: &str) -> Result<postgres::CopyOutReader<'a>, postgres::Error> {
    client.copy_out(&format!("COPY ({query}) TO STDOUT (FORMAT csv, HEADER true)"))
}

/// A query as it is, or one for all rows of a table, with or without its schema.
fn query(selection: &str) -> String {
    let word = selection.split_whitespace().next().unwrap_or_default();
    let is_query = ["select", "with", "values", "table"].iter().any(|w| word.eq_ignore_ascii_case(w));
    if is_query && selection.contains(char::is_whitespace) {
        return selection.trim_end().trim_end_matches(';').to_owned();
    }
    let quoted = |name: &str| format!("\"{}\"", name.trim_matches('"').replace('"', "\"\""));
    let names: Vec<String> = selection.split('.').map(quoted).collect();
    format!("SELECT * FROM {}", names.join("."))
}

/// An error with those that caused it: the last one says what happened.
fn causes(error: &postgres::Error) -> String {
    let first: &dyn std::error::Error = error;
    let all = std::iter::successors(Some(first), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_left_out() {
        for (url, expected) in [
            ("postgres://me:secret@host:5432/db", "postgres://me@host:5432/db"),
            ("postgres://me:s@cret@host/db", "postgres://me@host/db"),
            ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
            ("postgres://host:5432/db?x=a@b", "postgres://host:5432/db?x=a@b"),
            ("postgres://me:secret@host", "postgres://me@host"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }

    #[test]
    fn names_are_quoted_and_queries_are_not() {
        for (selection, expected) in [
            ("houses", "SELECT * FROM \"houses\""),
            ("Select", "SELECT * FROM \"Select\""),
            ("sales.Houses", "SELECT * FROM \"sales\".\"Houses\""),
            ("a\"; DROP TABLE b; --", "SELECT * FROM \"a\"\"; DROP TABLE b; --\""),
            ("select a, b from c where d > 1;", "select a, b from c where d > 1"),
        ] {
            assert_eq!(query(selection), expected);
        }
    }

    /// With a server, as `PGPASSWORD=... BNGPU_TEST_POSTGRES=postgres://USER@HOST/DATABASE cargo test --features postgres`.
    #[test]
    fn a_table_is_read_as_its_csv_would_be() {
        let Ok(url) = std::env::var("BNGPU_TEST_POSTGRES") else { return };
        let mut client = Client::connect(&url, NoTls).unwrap();
        let table = "CREATE TABLE IF NOT EXISTS bngpu_test (size float8, town text, sold timestamptz, ok bool, n numeric);
                     TRUNCATE bngpu_test; INSERT INTO bngpu_test SELECT i * 0.37, CASE WHEN i % 3 = 0 THEN NULL ELSE 'a,\"b' END,
                     '2024-03-31 02:00+02'::timestamptz + i * interval '7 hours', i % 2 = 0, i FROM generate_series(1, 60) i";
        client.batch_execute(table).unwrap();
        for selection in ["bngpu_test", "public.bngpu_test", "SELECT * FROM bngpu_test;"] {
            let spooled = spool(&url, Some(selection)).unwrap();
            let text = std::fs::read_to_string(spooled.path()).unwrap();
            assert!(
                text.starts_with("size,town,sold,ok,n\n0.37,\"a,\"\"b\",2024-03-31 07:00:00+00,f,1\n"),
                "{text}"
            );
            assert_eq!(text.lines().count(), 61);
        }
        for selection in [
            "nothing",
            "DELETE FROM bngpu_test",
            "WITH a AS (DELETE FROM bngpu_test RETURNING *) SELECT * FROM a",
        ] {
            assert!(spool(&url, Some(selection)).is_err(), "{selection}");
        }
        let secret = spool("postgres://me:secret@localhost/db", Some("a")).unwrap_err().to_string();
        assert!(secret.contains("PGPASSWORD") && !secret.contains("secret"), "{secret}");
        assert!(spool(&url, None).unwrap_err().to_string().contains("names no table"));
    }
}
