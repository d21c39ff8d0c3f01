//! Cinder's layout, one row per entry of image metadata, written by the database alone.

use std::collections::BTreeMap;

use super::row_per_key::entries;

/// Its tables, in PostgreSQL.
pub(crate) const POSTGRES: &str = include_str!("../../sql/volume_row_per_key.sql");

/// The script of a transaction that creates one volume, for pgbench.
pub(crate) fn script(metadata: &BTreeMap<String, String>) -> String {
    format!(
        "\\set random random(1, 9000000000000000000)
BEGIN;
INSERT INTO volumes (id, name, description, project_id, user_id, size_gib, status, volume_type_id, availability_zone,
                     bootable, multiattach, create_time, update_time)
SELECT (lpad(to_hex((extract(epoch FROM t) * 1e6)::bigint), 16, '0') || lpad(to_hex(:random::bigint), 16, '0'))::uuid,
       'root', '', '', '', 10, 'available', '00000000-0000-4000-8000-000000000001', 'nova', TRUE, FALSE, t, t
FROM clock_timestamp() t RETURNING id \\gset
INSERT INTO volume_glance_metadata (volume_id, key, value)
SELECT v.id, e.key, e.value FROM (SELECT :id::uuid AS id) v,
       (VALUES {}) e (key, value);
END;
",
        entries(metadata, "")
    )
}
