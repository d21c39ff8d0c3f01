//! The macros with which a store writes its statements: their bodies are compiled for both drivers.

/// Runs `$body` with a connection to read from; one statement sees one state of the database.
#[macro_export]
macro_rules! on_db {
    ($db:expr, |$connection:ident| $body:expr) => {
        $crate::on_lease!($db.leased_reader(), |$connection| $body)
    };
}

/// Runs `$body` with a connection to write with: one statement, which commits by itself.
#[macro_export]
macro_rules! on_writer {
    ($db:expr, |$connection:ident| $body:expr) => {
        $crate::on_lease!($db.leased_writer(), |$connection| $body)
    };
}

/// Runs `$body` with a connection on loan.
#[macro_export]
#[doc(hidden)]
macro_rules! on_lease {
    ($leased:expr, |$connection:ident| $body:expr) => {
        match $leased.await? {
            $crate::db::Leased::Sqlite(mut lease) => {
                let $connection = &mut *lease;
                let value = $body;
                lease.end();
                value
            }
            $crate::db::Leased::Postgres(mut lease) => {
                let $connection = &mut *lease;
                let value = $body;
                lease.end();
                value
            }
        }
    };
}

/// Runs `$body` in a transaction and commits it; leaving `$body` early (`?`, `return`, a caller that leaves) rolls back.
#[macro_export]
macro_rules! in_transaction {
    ($db:expr, |$tx:ident| $body:expr) => {
        match $db.transaction().await? {
            $crate::db::Leased::Sqlite(mut $tx) => {
                let value = $body;
                $tx.commit().await?;
                value
            }
            $crate::db::Leased::Postgres(mut $tx) => {
                let value = $body;
                $tx.commit().await?;
                value
            }
        }
    };
}
