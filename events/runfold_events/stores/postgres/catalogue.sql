-- What stands in schema runfold, as pairs of a name and a definition that catalogue.py can write for the schema files
-- too. Only facts that every version of Postgres spells alike.

SELECT 'table ' || relname AS name, '' AS definition
FROM pg_class WHERE relnamespace = 'runfold'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')

UNION ALL
SELECT
    'column ' || c.relname || '.' || a.attname,
    format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'runfold'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped

UNION ALL
SELECT
    'index ' || i.relname,
    CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || t.relname || ' (' || (
        SELECT string_agg(pg_get_indexdef(x.indexrelid, k, true), ', ' ORDER BY k)
        FROM generate_series(1, x.indnkeyatts::integer) AS k
    ) || ')' || CASE WHEN x.indpred IS NULL THEN '' ELSE ' WHERE' END
    || CASE WHEN x.indisvalid THEN '' ELSE ' INVALID' END
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid
WHERE i.relnamespace = 'runfold'::regnamespace

UNION ALL
SELECT
    'trigger ' || t.tgname || ' on ' || c.relname,
    concat_ws(
        ' ',
        CASE WHEN t.tgtype & 2 <> 0 THEN 'BEFORE' ELSE 'AFTER' END,
        CASE WHEN t.tgtype & 4 <> 0 THEN 'INSERT' END, CASE WHEN t.tgtype & 8 <> 0 THEN 'DELETE' END,
        CASE WHEN t.tgtype & 16 <> 0 THEN 'UPDATE' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'TRUNCATE' END,
        CASE WHEN t.tgtype & 1 <> 0 THEN 'ROW' ELSE 'STATEMENT' END, p.proname,
        CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'D' THEN 'DISABLED' ELSE 'SOMETIMES' END,
        CASE WHEN t.tgqual IS NOT NULL THEN 'WHEN' END
    )
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE c.relnamespace = 'runfold'::regnamespace AND NOT t.tgisinternal

UNION ALL
SELECT 'rule ' || r.rulename || ' on ' || c.relname, ''
FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
WHERE c.relnamespace = 'runfold'::regnamespace AND c.relkind IN ('r', 'p')

UNION ALL
SELECT
    'function ' || proname || CASE WHEN row_number() OVER (PARTITION BY proname ORDER BY oid) > 1 THEN ' again' ELSE '' END,
    CASE WHEN prosecdef THEN 'DEFINER ' ELSE 'INVOKER ' END || coalesce(array_to_string(proconfig, '; '), '') || prosrc
FROM pg_proc WHERE pronamespace = 'runfold'::regnamespace
