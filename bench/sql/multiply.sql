-- Makes many resources from the few that a service has written: copies of all their rows, in whatever tables and columns
-- the service has. The functions exist only as long as the loading connection.

CREATE TEMPORARY TABLE bench_indexes (definition TEXT NOT NULL);

-- Remembers and drops a table's indexes that no constraint needs: it is faster to create them at the end.
CREATE FUNCTION pg_temp.drop_indexes() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found RECORD;
BEGIN
    FOR found IN
        SELECT c.oid::regclass AS name, pg_get_indexdef(c.oid) AS definition
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisunique
    LOOP
        INSERT INTO bench_indexes VALUES (found.definition);
        EXECUTE format('DROP INDEX %s', found.name);
    END LOOP;
END
$$;

CREATE FUNCTION pg_temp.restore_indexes() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found RECORD;
BEGIN
    FOR found IN SELECT definition FROM bench_indexes LOOP
        EXECUTE found.definition;
    END LOOP;
    DELETE FROM bench_indexes;
END
$$;

-- The id of copy n, which sorts by n as time-based ids do.
CREATE FUNCTION pg_temp.copy_id(n BIGINT) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(n), 12, '0') || '7' || substr(md5(n::text), 1, 19))::uuid
$$;

-- The time of copy n.
CREATE FUNCTION pg_temp.copy_time(n BIGINT) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT '2020-01-01 00:00:00+00'::timestamptz + n * interval '1 second'
$$;

-- The value of a column of a copy: s is the row that is copied, m maps the original resource to the copy.
CREATE FUNCTION pg_temp.copied(name TEXT, kind TEXT, key TEXT) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN name = key THEN 'm.fresh'
        WHEN name IN ('create_time', 'update_time', 'image_create_time') THEN 'm.at'
        WHEN name = 'reservation_id' THEN '''r-'' || lpad(to_hex(m.n), 16, ''0'')'
        -- Where a text contains the id, it gets the new one.
        WHEN kind = 'text' THEN format('replace(s.%I, m.old_text, m.fresh::text)', name)
        WHEN kind = 'jsonb' THEN format('replace(s.%I::text, m.old_text, m.fresh::text)::jsonb', name)
        ELSE format('s.%I', name)
    END
$$;

-- Copies first to last of the resources in parent, with the rows of all tables that have the column link.
CREATE FUNCTION pg_temp.multiply(parent TEXT, link TEXT, first BIGINT, last BIGINT) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    target RECORD;
BEGIN
    -- The originals satisfy all constraints, and so do their copies: no need to check them again.
    SET LOCAL session_replication_role = replica;
    EXECUTE format('CREATE TABLE IF NOT EXISTS bench_seeds AS
                    SELECT row_number() OVER (ORDER BY id) - 1 AS number, id FROM %I', parent);
    CREATE TEMPORARY TABLE bench_copies ON COMMIT DROP AS
        SELECT n, s.id AS old, s.id::text AS old_text, pg_temp.copy_id(n) AS fresh, pg_temp.copy_time(n) AS at
        FROM generate_series(first, last) n
        JOIN bench_seeds s ON s.number = n % (SELECT COUNT(*) FROM bench_seeds);
    ANALYZE bench_copies;
    FOR target IN
        SELECT t.table_name AS name, CASE WHEN t.table_name = parent THEN 'id' ELSE link END AS key,
               (SELECT string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position)
                FROM information_schema.columns c
                WHERE c.table_schema = 'public' AND c.table_name = t.table_name) AS columns,
               (SELECT string_agg(pg_temp.copied(c.column_name, c.data_type,
                                                 CASE WHEN t.table_name = parent THEN 'id' ELSE link END),
                                  ', ' ORDER BY c.ordinal_position)
                FROM information_schema.columns c
                WHERE c.table_schema = 'public' AND c.table_name = t.table_name) AS expressions
        FROM information_schema.tables t
        WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE'
          AND (t.table_name = parent
               OR EXISTS (SELECT 1 FROM information_schema.columns c
                          WHERE c.table_schema = 'public' AND c.table_name = t.table_name
                            AND c.column_name = link AND c.data_type = 'uuid' AND t.table_name <> parent))
    LOOP
        EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM bench_copies m JOIN %I s ON s.%I = m.old ORDER BY m.n',
                       target.name, target.columns, target.expressions, target.name, target.key);
    END LOOP;
END
$$;
