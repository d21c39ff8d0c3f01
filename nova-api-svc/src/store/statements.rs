//! The statements of the transaction that creates instances. Macros, because the two drivers' transactions are two
//! types. Rows arrive as one JSON text, see [`rows`](super::rows).

/// Claims request ids, at a time that the database says; gives the reservations whose claims hold.
macro_rules! claim {
    ($tx:ident, $claims:expr) => {{
        let statement = $tx.pick(
            "INSERT INTO create_requests (project_id, request_id, fingerprint, reservation_id, requested_count, \
             create_time) \
             SELECT value ->> 'project_id', value ->> 'request_id', value ->> 'fingerprint', \
             value ->> 'reservation_id', value ->> 'requested_count', \
             strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') FROM json_each($1) WHERE TRUE \
             ON CONFLICT (project_id, request_id) DO NOTHING RETURNING reservation_id",
            "INSERT INTO create_requests (project_id, request_id, fingerprint, reservation_id, requested_count, \
             create_time) \
             SELECT project_id, request_id, fingerprint, reservation_id, requested_count, now() \
             FROM json_to_recordset($1::json) AS claim (project_id text, request_id text, fingerprint text, \
             reservation_id text, requested_count integer) \
             ON CONFLICT (project_id, request_id) DO NOTHING RETURNING reservation_id",
        );
        let claimed: Vec<String> =
            sqlx::query_scalar(statement).bind(json($claims)).fetch_all(&mut *$tx).await?;
        claimed.into_iter().collect::<HashSet<_>>()
    }};
}

/// Gives up claims whose requests were refused.
macro_rules! give_up_claims {
    ($tx:ident, $claims:expr) => {
        sqlx::query($tx.pick(
            "DELETE FROM create_requests WHERE (project_id, request_id) IN \
             (SELECT value ->> 'project_id', value ->> 'request_id' FROM json_each($1))",
            "DELETE FROM create_requests WHERE (project_id, request_id) IN (SELECT project_id, request_id \
             FROM json_to_recordset($1::json) AS claim (project_id text, request_id text))",
        ))
        .bind(json($claims))
        .execute(&mut *$tx)
        .await?
    };
}

/// Locks projects that have a quota, in the order of their names.
macro_rules! lock_projects {
    ($tx:ident, $projects:expr) => {
        sqlx::query($tx.pick(
            "INSERT INTO quota_projects (project_id) SELECT value FROM json_each($1) WHERE TRUE \
             ON CONFLICT (project_id) DO UPDATE SET project_id = excluded.project_id",
            "INSERT INTO quota_projects (project_id) SELECT value FROM json_array_elements_text($1::json) \
             ON CONFLICT (project_id) DO UPDATE SET project_id = excluded.project_id",
        ))
        .bind(json($projects))
        .execute(&mut *$tx)
        .await?
    };
}

/// What a project uses. Of an instance that is resized, from the beginning until that is confirmed or reverted, the
/// larger of both flavors: it must be possible to go on as well as back.
macro_rules! usage {
    ($executor:expr, $project_id:expr) => {
        sqlx::query_as::<_, Usage>(
            "SELECT COUNT(*) AS instances, \
             CAST(COALESCE(SUM(CASE WHEN other.vcpus > own.vcpus THEN other.vcpus ELSE own.vcpus END), 0) AS BIGINT) \
             AS cores, CAST(COALESCE(SUM(CASE WHEN other.memory_mb > own.memory_mb THEN other.memory_mb \
             ELSE own.memory_mb END), 0) AS BIGINT) AS ram_mb \
             FROM instances JOIN records AS own ON own.id = instances.record_id \
             LEFT JOIN instance_tasks AS task ON task.instance_id = instances.id \
             LEFT JOIN records AS other ON other.id = CASE WHEN task.operation = 'resize' \
             THEN COALESCE(task.target_record_id, task.former_record_id) ELSE task.former_record_id END \
             WHERE instances.project_id = $1",
        )
        .bind($project_id)
        .fetch_one($executor)
        .await?
    };
}

/// Writes the records that are not there yet; gives their ids.
macro_rules! insert_records {
    ($tx:ident, $rows:expr) => {
        sqlx::query_scalar::<_, Id>($tx.pick(
            "INSERT INTO records (id, image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, \
             architecture, vm_mode, root_device_name, auto_disk_config, system_metadata, truncated_keys, image_min_disk, image_size) \
             SELECT value ->> 'id', value ->> 'image_id', value ->> 'image_revision', value ->> 'memory_mb', \
             value ->> 'vcpus', value ->> 'kernel_id', value ->> 'ramdisk_id', value ->> 'os_type', \
             value ->> 'architecture', value ->> 'vm_mode', value ->> 'root_device_name', \
             value ->> 'auto_disk_config', value -> 'system_metadata', value -> 'truncated_keys', \
             value ->> 'image_min_disk', value ->> 'image_size' \
             FROM json_each($1) WHERE TRUE ON CONFLICT (id) DO NOTHING RETURNING id",
            "INSERT INTO records (id, image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, \
             architecture, vm_mode, root_device_name, auto_disk_config, system_metadata, truncated_keys, image_min_disk, image_size) \
             SELECT id, image_id, image_revision, memory_mb, vcpus, kernel_id, ramdisk_id, os_type, architecture, \
             vm_mode, root_device_name, auto_disk_config, system_metadata, truncated_keys, image_min_disk, image_size \
             FROM json_to_recordset($1::json) AS record (id uuid, image_id uuid, image_revision bigint, \
             memory_mb integer, vcpus integer, kernel_id text, ramdisk_id text, os_type text, architecture text, \
             vm_mode text, root_device_name text, auto_disk_config boolean, system_metadata json, \
             truncated_keys json, image_min_disk bigint, image_size bigint) ON CONFLICT (id) DO NOTHING RETURNING id",
        ))
        .bind(json($rows))
        .fetch_all(&mut *$tx)
        .await?
    };
}

/// Which of these records are there.
macro_rules! known_records {
    ($tx:ident, $ids:expr) => {
        sqlx::query_scalar::<_, Id>($tx.pick(
            "SELECT id FROM records WHERE id IN (SELECT value FROM json_each($1))",
            "SELECT id FROM records WHERE id = ANY($1)",
        ))
        .bind(Many($ids))
        .fetch_all(&mut *$tx)
        .await?
    };
}

/// Writes the entries of records.
macro_rules! insert_entries {
    ($tx:ident, $rows:expr) => {
        sqlx::query($tx.pick(
            "INSERT INTO record_entries (record_id, key, value, truncated) \
             SELECT value ->> 'record_id', value ->> 'key', value ->> 'value', value ->> 'truncated' \
             FROM json_each($1)",
            "INSERT INTO record_entries (record_id, key, value, truncated) \
             SELECT record_id, key, value, truncated FROM json_to_recordset($1::json) \
             AS entry (record_id uuid, key text, value text, truncated boolean)",
        ))
        .bind(json($rows))
        .execute(&mut *$tx)
        .await?
    };
}

/// Writes the caller's metadata of reservations.
macro_rules! insert_metadata {
    ($tx:ident, $rows:expr) => {
        sqlx::query($tx.pick(
            "INSERT INTO reservation_metadata (reservation_id, metadata) \
             SELECT value ->> 'reservation_id', value -> 'metadata' FROM json_each($1)",
            "INSERT INTO reservation_metadata (reservation_id, metadata) \
             SELECT reservation_id, metadata FROM json_to_recordset($1::json) \
             AS entry (reservation_id text, metadata json)",
        ))
        .bind(json($rows))
        .execute(&mut *$tx)
        .await?
    };
}

/// Writes those of the records, a map by id, that are not there yet, with their entries.
macro_rules! write_records {
    ($tx:ident, $records:expr) => {{
        let mut records = $records;
        let ids = records.keys().copied().collect();
        for known in known_records!($tx, ids) {
            records.remove(&known);
        }
        if !records.is_empty() {
            let rows: Vec<_> = records.values().map(|record| RecordRow::from(*record)).collect();
            // Another replica may write the same ones: whoever is first writes the entries, too.
            let written = insert_records!($tx, &rows);
            let entries: Vec<_> = written
                .iter()
                .filter_map(|id| records.get(id))
                .flat_map(|record| EntryRow::of(record))
                .collect();
            insert_entries!($tx, &entries);
        }
    }};
}

pub(super) use {
    claim, give_up_claims, insert_entries, insert_metadata, insert_records, known_records, lock_projects,
    usage, write_records,
};
