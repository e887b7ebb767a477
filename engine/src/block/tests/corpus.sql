-- Statements of the emitter's proof; `corpus.rs` says how they are read. A heading makes a claim for
-- all statements below it, up to the next:
--
--   BLOCKS            one block, which reads back and answers the same
--   BLOCKS THAT FAIL  the same, but evaluation fails on the test data, before and after
--   NOT BLOCKS        valid, but refused
--   NOT READ          refused before there is a plan

-- BLOCKS: whole numbers
SELECT 0 AS x FROM places;
SELECT 1, 2 AS two FROM places;
SELECT -1 AS x FROM places;
SELECT - 1 AS x FROM places;
SELECT -(1) AS x FROM places;
SELECT -(-5) AS x FROM places;
SELECT - -5 AS x FROM places;
SELECT -(-(-5)) AS x FROM places;
SELECT +5 AS x FROM places;
SELECT 9223372036854775807 AS x FROM places;
SELECT -9223372036854775808 AS x FROM places;
SELECT 9223372036854775808 AS x FROM places;
SELECT 18446744073709551615 AS x FROM places;
SELECT 18446744073709551616 AS x FROM places;
SELECT 007 AS x FROM places;
SELECT CAST(5 AS SMALLINT) AS x FROM places;
SELECT CAST(-32768 AS SMALLINT) AS x FROM places;
SELECT CAST(-128 AS TINYINT) AS x FROM places;
SELECT CAST(255 AS TINYINT UNSIGNED) AS x FROM places;
SELECT CAST(65535 AS SMALLINT UNSIGNED) AS x FROM places;
SELECT CAST(7 AS INT UNSIGNED) AS x FROM places;
SELECT CAST(7 AS BIGINT UNSIGNED) AS x FROM places;
SELECT CAST(-2147483648 AS INT) AS x FROM places;
SELECT 5::smallint AS x FROM places;
SELECT arrow_cast(5, 'Int16') AS x FROM places;
SELECT n - -5 AS x FROM things;
SELECT n --5 is a comment, not a constant
AS x FROM things;
SELECT 5 - -n AS x FROM things;
SELECT -n AS x FROM things;
SELECT -(-n) AS x FROM things;
SELECT - - -n AS x FROM things;
SELECT -(n + 1) AS x FROM things;
SELECT (-n) + 1 AS x FROM things;
SELECT -n * -n AS x FROM things;

-- BLOCKS: fractions
SELECT 0.0 AS x FROM places;
SELECT -0.0 AS x FROM places;
SELECT 1.0 AS x FROM places;
SELECT 0.1 + 0.2 AS x FROM places;
SELECT .5 AS x FROM places;
SELECT 5. AS x FROM places;
SELECT 1e3 AS x FROM places;
SELECT 1E-7 AS x FROM places;
SELECT 1e308 AS x FROM places;
SELECT -1e308 AS x FROM places;
SELECT 5e-324 AS x FROM places;
SELECT 1e400 AS x FROM places;
SELECT -1e400 AS x FROM places;
SELECT 123456789.123456789 AS x FROM places;
SELECT 0.30000000000000004 AS x FROM places;
SELECT CAST('NaN' AS DOUBLE) AS x FROM places;
SELECT CAST('-inf' AS DOUBLE) AS x FROM places;
SELECT CAST(1.5 AS REAL) AS x FROM places;
SELECT CAST(0.1 AS REAL) AS x FROM places;
SELECT CAST('NaN' AS REAL) AS x FROM places;
SELECT CAST(1 AS DOUBLE) AS x FROM places;
SELECT id FROM things WHERE f = 0.0;
SELECT id FROM things WHERE f = -0.0;
SELECT id FROM things WHERE f = CAST('NaN' AS DOUBLE);
SELECT id FROM things WHERE f > 1e307 OR f < -1e307;
SELECT f + 1.0 AS x, g * -0.0 AS y FROM things;

-- BLOCKS: decimals
SELECT CAST(1.50 AS DECIMAL(10,2)) AS x FROM places;
SELECT CAST('1.50' AS DECIMAL(10,2)) AS x FROM places;
SELECT CAST('-0.01' AS NUMERIC(4,2)) AS x FROM places;
SELECT CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0)) AS x FROM places;
SELECT CAST('0.00000000000000000000000000000000000001' AS DECIMAL(38,38)) AS x FROM places;
SELECT CAST('123' AS DECIMAL(50,3)) AS x FROM places;
SELECT CAST(1 AS DECIMAL) AS x FROM places;
SELECT 1.10::decimal(5,2) AS x FROM places;
SELECT d + CAST('1.10' AS DECIMAL(12,2)) AS x FROM things;
SELECT d * 2 AS x, d / 3 AS y, d % 7 AS z FROM things;
SELECT d + e AS x, d - e AS y FROM things;
SELECT d * CAST('0.5' AS DECIMAL(3,1)) AS x FROM things;
SELECT d + 0.5 AS x FROM things;
SELECT -d AS x FROM things;
SELECT id FROM things WHERE d = CAST('1.50' AS DECIMAL(12,2));
SELECT id FROM things WHERE d > 0.99;
SELECT id FROM things WHERE d BETWEEN -1.5 AND 123.45;
SELECT CAST(d AS DECIMAL(20,4)) AS x FROM things;
SELECT CAST(d AS DOUBLE) AS x, CAST(d AS VARCHAR) AS y FROM things;
SELECT sum(d), avg(d), min(d), max(d) FROM things;

-- BLOCKS: text
SELECT '' AS x FROM places;
SELECT 'a' AS x FROM places;
SELECT 'it''s' AS x FROM places;
SELECT '''' AS x FROM places;
SELECT '''''' AS x FROM places;
SELECT '"' AS x FROM places;
SELECT '"r0"."id"' AS x FROM places;
SELECT 'back\slash' AS x FROM places;
SELECT '\' AS x FROM places;
SELECT '\''' AS x FROM places;
SELECT E'tab\tand\nline' AS x FROM places;
SELECT 'two
lines' AS x FROM places;
SELECT '-- no comment' AS x FROM places;
SELECT '/* no comment */' AS x FROM places;
SELECT 'ünï😀' AS x FROM places;
SELECT ' pad ' AS x FROM places;
SELECT '%' AS x, '_' AS y, '$1' AS z, '?' AS w FROM places;
SELECT 'NULL' AS x, 'TRUE' AS y, '5' AS z FROM places;
SELECT $$dollar 'quoted'$$ AS x FROM places;
SELECT CAST('a' AS VARCHAR) AS x FROM places;
SELECT CAST('a' AS VARCHAR(3)) AS x FROM places;
SELECT CAST('a' AS TEXT) AS x FROM places;
SELECT arrow_cast('a', 'Utf8View') AS x FROM places;
SELECT arrow_cast('a', 'LargeUtf8') AS x FROM places;
SELECT arrow_cast('a', 'Dictionary(Int32, Utf8)') AS x FROM places;
SELECT arrow_cast(s, 'Dictionary(Int32, Utf8)') AS x FROM things;
SELECT arrow_cast(s, 'Utf8View') AS x, arrow_cast(s, 'LargeUtf8') AS y FROM things;
SELECT id FROM things WHERE s = 'it''s';
SELECT id FROM things WHERE s = '';
SELECT id FROM things WHERE s = 'back\slash' OR s = '-- no' OR s = '/* no */';
SELECT id FROM things WHERE s = 'two
lines';

-- BLOCKS: truth and nothing
SELECT true AS x, FALSE AS y FROM places;
SELECT NULL AS x FROM places;
SELECT CAST(NULL AS INT) AS x FROM places;
SELECT CAST(NULL AS VARCHAR) AS x, CAST(NULL AS DATE) AS y, CAST(NULL AS DECIMAL(5,2)) AS z FROM places;
SELECT CAST(NULL AS TIMESTAMP) AS x, CAST(NULL AS BOOLEAN) AS y, CAST(NULL AS INTERVAL) AS z FROM places;
SELECT arrow_cast(NULL, 'Timestamp(Microsecond, Some("UTC"))') AS x FROM places;
SELECT arrow_cast(NULL, 'Dictionary(Int32, Utf8)') AS x FROM places;
SELECT id FROM things WHERE NULL;
SELECT id FROM things WHERE true;
SELECT id FROM things WHERE false;
SELECT id FROM things WHERE b AND true;
SELECT id FROM things WHERE b AND NULL;
SELECT id FROM things WHERE b OR NULL;
SELECT id FROM things WHERE b = NULL;
SELECT id FROM things WHERE n IN (1, NULL);
SELECT id FROM things WHERE n NOT IN (1, NULL);
SELECT coalesce(n, NULL, 0) AS x FROM things;
SELECT NULL IS NULL AS x, NULL = NULL AS y FROM places;

-- BLOCKS: dates, times, intervals
SELECT DATE '2024-02-29' AS x FROM places;
SELECT CAST('1700-01-01' AS DATE) AS x FROM places;
SELECT DATE '9999-12-31' AS x, DATE '0001-01-01' AS y FROM places;
SELECT '2024-02-29'::date AS x FROM places;
SELECT TIMESTAMP '2024-02-29 12:34:56' AS x FROM places;
SELECT TIMESTAMP '2024-02-29 12:34:56.123456789' AS x FROM places;
SELECT CAST('2024-02-29T00:00:00' AS TIMESTAMP(6)) AS x FROM places;
SELECT CAST('2024-02-29T00:00:00.001' AS TIMESTAMP(3)) AS x FROM places;
SELECT CAST('2024-02-29T00:00:00' AS TIMESTAMP(0)) AS x FROM places;
SELECT CAST('2024-02-29T00:00:00Z' AS TIMESTAMPTZ) AS x FROM places;
SELECT TIMESTAMP '2024-02-29 12:34:56+02:00' AS x FROM places;
SELECT arrow_cast('2024-02-29T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))') AS x FROM places;
SELECT arrow_cast('2024-02-29T00:00:00Z', 'Timestamp(Second, Some("Europe/London"))') AS x FROM places;
SELECT CAST(1700000000 AS TIMESTAMP) AS x FROM places;
SELECT CAST(n AS TIMESTAMP) AS x FROM things;
SELECT to_timestamp(1700000000) AS x FROM places;
SELECT INTERVAL '1' DAY AS x FROM places;
SELECT INTERVAL '1 month -2 days 3 hours' AS x FROM places;
SELECT INTERVAL '1 year 2 months 3 days 4 hours 5 minutes 6.789 seconds' AS x FROM places;
SELECT -INTERVAL '1 month' AS x FROM places;
SELECT INTERVAL '0 days' AS x FROM places;
SELECT day + INTERVAL '1 month' AS x FROM things;
SELECT day - INTERVAL '1' YEAR AS x FROM things;
SELECT INTERVAL '1 day' + day AS x FROM things;
SELECT day + 1 AS x FROM things;
SELECT day - day AS x FROM things;
SELECT at - INTERVAL '90 minutes' AS x FROM things;
SELECT utc + INTERVAL '1 day' AS x FROM things;
SELECT at - at AS x FROM things;
SELECT id FROM things WHERE day = DATE '2024-02-29';
SELECT id FROM things WHERE day >= '2024-02-29';
SELECT id FROM things WHERE day BETWEEN '2024-01-01' AND '2024-12-31';
SELECT id FROM things WHERE at >= TIMESTAMP '2024-02-29 00:00:00';
SELECT id FROM things WHERE at < DATE '2024-03-01';
SELECT id FROM things WHERE TIMESTAMP '2024-02-29 00:00:00' <= at;
SELECT id FROM things WHERE day < TIMESTAMP '2024-03-01 00:00:00';
SELECT id FROM things WHERE day < TIMESTAMP '2024-03-01 12:00:00';
SELECT id FROM things WHERE utc >= TIMESTAMP '2024-02-29 00:00:00';
SELECT id FROM things WHERE utc = '2024-02-29T00:00:00Z';
SELECT id FROM things WHERE utc < CAST('2024-02-29T05:00:00+05:00' AS TIMESTAMPTZ);
SELECT id FROM things WHERE day IN (DATE '2024-02-29', DATE '1970-01-01');
SELECT id FROM things WHERE at IN (TIMESTAMP '1970-01-01 00:00:00', DATE '2024-02-29');
SELECT id FROM things WHERE at - at < INTERVAL '1 hour';
SELECT id FROM things WHERE at + INTERVAL '1 day' > TIMESTAMP '2024-01-01 00:00:00';
SELECT id FROM things WHERE day > at;
SELECT date_part('year', day) AS x, extract(month FROM at) AS y FROM things;
SELECT date_trunc('month', at) AS x, date_trunc('day', utc) AS y FROM things;
SELECT date_bin(INTERVAL '1 day', at, TIMESTAMP '1970-01-01') AS x FROM things;
SELECT CAST(at AS DATE) AS x, CAST(day AS TIMESTAMP(6)) AS y, CAST(utc AS TIMESTAMP(6)) AS z FROM things;
SELECT at AT TIME ZONE 'Europe/London' AS x FROM things;
SELECT utc AT TIME ZONE 'UTC' AS x FROM things;
SELECT to_char(day, '%Y') AS x FROM things;
SELECT CAST(at AS VARCHAR) AS x, CAST(utc AS VARCHAR) AS y, CAST(day AS VARCHAR) AS z FROM things;
SELECT TIME '12:34:56' AS x FROM places;
SELECT CAST(at AS TIME) AS x FROM things;

-- BLOCKS: names
SELECT "select" AS x FROM "Odd ""Names""";
SELECT "Mixed Case" AS x, "a""b" AS y, "with.dot" AS z FROM "Odd ""Names""";
SELECT "it's" AS x, "ünï" AS y, "-- no" AS z FROM "Odd ""Names""";
SELECT "count(*)" AS x, count(*) FROM "Odd ""Names""" GROUP BY "count(*)";
SELECT r0, c0, k0, m0 FROM "Odd ""Names""" AS r0;
SELECT k0 AS c0, c0 AS k0 FROM "Odd ""Names""";
SELECT k0, sum(m0) AS m0 FROM "Odd ""Names""" GROUP BY k0;
SELECT m0 AS k0, sum(k0) AS m0 FROM "Odd ""Names""" GROUP BY m0;
SELECT r0.r0 AS r1 FROM "Odd ""Names""" AS r0;
SELECT a.r0 AS "r0.r0" FROM "Odd ""Names""" AS a JOIN "Odd ""Names""" AS b ON a.r0 = b.k0;
SELECT r1.id AS x, r0.id AS y FROM things AS r1 JOIN visits AS r0 ON r0.thing = r1.id;
SELECT "true" AS x, NOT "true" AS y FROM "Odd ""Names""";
SELECT count(DISTINCT "select") AS "from" FROM "Odd ""Names""" WHERE "true" IS NOT FALSE;
SELECT THINGS.ID, Things.B FROM Things;
SELECT node.tables.things.id FROM node.tables.things;
SELECT id AS "AS", b AS "WHERE" FROM things AS "FROM";
SELECT organisation, count(*) FROM things GROUP BY organisation;
SELECT id FROM things WHERE organisation = 'north';
SELECT v.id FROM things AS t JOIN visits AS v ON v.thing = t.id AND v.organisation = t.organisation;

-- BLOCKS: tests
SELECT (NOT b) IS NULL AS x FROM things;
SELECT (NOT b) IS TRUE AS x FROM things;
SELECT NOT b IS NULL AS x FROM things;
SELECT NOT (b IS TRUE) AS x FROM things;
SELECT NOT b IS NOT TRUE AS x FROM things;
SELECT b IS NULL AS x, b IS NOT NULL AS y FROM things;
SELECT b IS TRUE AS x, b IS NOT TRUE AS y FROM things;
SELECT b IS FALSE AS x, b IS NOT FALSE AS y FROM things;
SELECT b IS UNKNOWN AS x, b IS NOT UNKNOWN AS y FROM things;
SELECT (b IS NULL) IS NULL AS x FROM things;
SELECT (b IS NULL) IS FALSE AS x FROM things;
SELECT (n = 1) IS UNKNOWN AS x FROM things;
SELECT n = 1 IS TRUE AS x FROM things;
SELECT (n + i32) IS NULL AS x FROM things;
SELECT (b AND c) IS NULL AS x, (b OR c) IS NOT TRUE AS y FROM things;
SELECT (n BETWEEN 1 AND 5) IS NULL AS x FROM things;
SELECT (n IN (1, 2)) IS NOT TRUE AS x FROM things;
SELECT (s LIKE 'a%') IS UNKNOWN AS x FROM things;
SELECT (CASE WHEN b THEN c END) IS NULL AS x FROM things;
SELECT id FROM things WHERE NOT (NOT b);
SELECT id FROM things WHERE NOT NOT b;
SELECT id FROM things WHERE f IS NULL OR f = f;

-- BLOCKS: and, or, not
SELECT id FROM things WHERE b AND c;
SELECT id FROM things WHERE b OR c;
SELECT id FROM things WHERE NOT b AND c;
SELECT id FROM things WHERE NOT (b AND c);
SELECT id FROM things WHERE NOT (b OR c) OR n > 1;
SELECT id FROM things WHERE b AND c OR n = 1 AND i16 = 2;
SELECT id FROM things WHERE b AND (c OR n = 1) AND i16 < 2;
SELECT id FROM things WHERE (b OR c) AND (n = 1 OR i16 = 2);
SELECT id FROM things WHERE (b AND c) AND (n = 1 AND (i16 = 2 AND s = 'a'));
SELECT id FROM things WHERE b OR (c OR (n = 1 OR i16 = 2));
SELECT id FROM things WHERE ((((b))));
SELECT id FROM things WHERE b AND b AND b;
SELECT id FROM things WHERE c AND b;
SELECT b AND c AS x, b OR c AS y, NOT b AS z FROM things;
SELECT b AND NOT c AS x, NOT b OR NOT c AS y FROM things;
SELECT (b OR c) AND b AS x FROM things;
SELECT b = c AS x, b <> c AS y, b < c AS z FROM things;
SELECT b AND (c = (n > 1)) AS x FROM things;
SELECT NOT b = c AS x, (NOT b) = c AS y FROM things;
SELECT id FROM things WHERE n <> 1 AND n <> 2 AND n <> 3 AND n <> 4 AND n <> 5 AND n <> 6 AND n <> 7 AND n <> 8 AND n <> 9 AND n <> 10 AND n <> 11 AND n <> 12 AND n <> 13 AND n <> 14 AND n <> 15 AND n <> 16 AND n <> 17 AND n <> 18 AND n <> 19 AND n <> 20 AND n <> 21 AND n <> 22 AND n <> 23 AND n <> 24 AND n <> 25 AND n <> 26 AND n <> 27 AND n <> 28 AND n <> 29 AND n <> 30 AND n <> 31 AND n <> 32 AND n <> 33 AND n <> 34 AND n <> 35 AND n <> 36 AND n <> 37 AND n <> 38 AND n <> 39 AND n <> 40 AND n <> 41 AND n <> 42 AND n <> 43 AND n <> 44 AND n <> 45 AND n <> 46 AND n <> 47 AND n <> 48 AND n <> 49 AND n <> 50 AND n <> 51 AND n <> 52 AND n <> 53 AND n <> 54 AND n <> 55 AND n <> 56 AND n <> 57 AND n <> 58 AND n <> 59 AND n <> 60;
SELECT n = 1 OR n = 2 OR n = 3 OR n = 4 OR n = 5 OR n = 6 OR n = 7 OR n = 8 OR n = 9 OR n = 10 OR n = 11 OR n = 12 OR n = 13 OR n = 14 OR n = 15 OR n = 16 OR n = 17 OR n = 18 OR n = 19 OR n = 20 OR n = 21 OR n = 22 OR n = 23 OR n = 24 OR n = 25 OR n = 26 OR n = 27 OR n = 28 OR n = 29 OR n = 30 OR n = 31 OR n = 32 OR n = 33 OR n = 34 OR n = 35 OR n = 36 OR n = 37 OR n = 38 OR n = 39 OR n = 40 OR n = 41 OR n = 42 OR n = 43 OR n = 44 OR n = 45 OR n = 46 OR n = 47 OR n = 48 OR n = 49 OR n = 50 OR n = 51 OR n = 52 OR n = 53 OR n = 54 OR n = 55 OR n = 56 OR n = 57 OR n = 58 OR n = 59 OR n = 60 AS x FROM things;

-- BLOCKS: comparisons
SELECT n = 1 AS a, n <> 1 AS b, n != 1 AS c, n < 1 AS d, n <= 1 AS e, n > 1 AS f, n >= 1 AS g FROM things;
SELECT 1 = n AS a, 1 < n AS b FROM things;
SELECT n == 1 AS x FROM things;
SELECT i16 = i32 AS x, i32 < i64 AS y, n > f AS z FROM things;
SELECT n IS DISTINCT FROM i32 AS x, n IS NOT DISTINCT FROM i32 AS y FROM things;
SELECT n IS DISTINCT FROM NULL AS x FROM things;
SELECT (n IS DISTINCT FROM 1) IS DISTINCT FROM b AS x FROM things;
SELECT s < 'b' AS x, s >= t AS y FROM things;
SELECT n = '1' AS x FROM things;
SELECT (n = 1) = (i32 = 1) AS x FROM things;
SELECT (n < i32) <> b AS x FROM things;
SELECT n < 1.5 AS x, d < 1.5 AS y, f > 1 AS z FROM things;
SELECT n + 1 < i32 * 2 AS x FROM things;
SELECT n = i32 + 1 AND i32 - 1 <> n AS x FROM things;
SELECT id FROM things WHERE i64 = 9223372036854775807 OR i64 = -9223372036854775808;
SELECT id FROM things WHERE i16 = -32768 OR i32 = 2147483647;

-- BLOCKS: arithmetic
SELECT n + i32 * i16 AS x, (n + i32) * i16 AS y FROM things;
SELECT n - i32 - 1 AS x, n - (i32 - 1) AS y FROM things;
SELECT n / 2 / 3 AS x, n / (6 / 3) AS y FROM things;
SELECT n * 7 % 3 AS x, n * (7 % 3) AS y FROM things;
SELECT n / 2 * 2 AS x, n / (2 * 2) AS y FROM things;
SELECT -n + i32 AS x, -(n + i32) AS y FROM things;
SELECT n - (-n) AS x, n - -n AS y, n + -1 AS z FROM things;
SELECT i64 + 1 AS x, i64 * 2 AS y, i64 - 1 AS z FROM things;
SELECT i16 + i16 AS x, i32 * i32 AS y FROM things;
SELECT f + g AS x, f - g AS y, f * g AS z, f / g AS u, f % g AS v FROM things;
SELECT g / 0.0 AS x, g % 0.0 AS y FROM things;
SELECT n + 0.5 AS x, d + n AS y FROM things;
SELECT n & i32 | i16 ^ n AS x FROM things;
SELECT n & (i32 | (i16 ^ n)) AS x FROM things;
SELECT n << 2 AS x, n >> 1 AS y, (n << 2) >> 1 AS z FROM things;
SELECT n + 1 & 3 AS x, n + (1 & 3) AS y FROM things;
SELECT n ^ 5 AS x FROM things;
SELECT n XOR 5 AS x FROM things;
SELECT 1 + 2 * 3 - 4 AS x FROM places;
SELECT n + 1 + 2 + 3 AS x FROM things;

-- BLOCKS: between, in
SELECT n BETWEEN 1 AND 3 AS x, n NOT BETWEEN 1 AND 3 AS y FROM things;
SELECT NOT n BETWEEN 1 AND 3 AS x, NOT (n NOT BETWEEN 1 AND 3) AS y FROM things;
SELECT n BETWEEN 3 AND 1 AS x FROM things;
SELECT n BETWEEN i16 AND i32 AND b AS x FROM things;
SELECT n + 1 BETWEEN i16 - 1 AND i32 + 1 AS x FROM things;
SELECT n BETWEEN 1 AND 3 OR n BETWEEN 5 AND 7 AS x FROM things;
SELECT b BETWEEN (n = 1) AND (n > 0) AS x FROM things;
SELECT (n BETWEEN 1 AND 3) = b AS x FROM things;
SELECT s BETWEEN 'a' AND 'b' AS x FROM things;
SELECT n IN (1) AS x, n IN (1, 2, 3) AS y, n NOT IN (1, 2) AS z FROM things;
SELECT NOT n IN (1, 2) AS x FROM things;
SELECT n IN (i16, i32 + 1, -n) AS x FROM things;
SELECT s IN ('a', 'it''s', '') AS x FROM things;
SELECT b IN (true, c) AS x FROM things;
SELECT (n IN (1)) IN (b, c) AS x FROM things;
SELECT n IN (1, 1, 2) AS x FROM things;
SELECT d IN (1.50, 0.99) AS x FROM things;
SELECT n IN (1, 2.5) AS x FROM things;
SELECT i16 IN (1, 2, 70000) AS x FROM things;
SELECT id FROM things WHERE n IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19);

-- BLOCKS: patterns
SELECT s LIKE 'a%' AS x, s NOT LIKE 'a%' AS y FROM things;
SELECT s ILIKE 'A_' AS x, s NOT ILIKE 'A_' AS y FROM things;
SELECT NOT s LIKE 'a%' AS x FROM things;
SELECT s LIKE 'a\%b' AS x FROM things;
SELECT s LIKE 'a\%b' ESCAPE '\' AS x FROM things;
SELECT s LIKE t AS x, s LIKE '%' || t || '%' AS y FROM things;
SELECT s || t LIKE 'a%' AS x FROM things;
SELECT s LIKE '' AS x, s LIKE '%' AS y, s LIKE '_' AS z FROM things;
SELECT s LIKE '%''%' AS x FROM things;
SELECT s LIKE '%
%' AS x FROM things;
SELECT s LIKE NULL AS x FROM things;
SELECT (s LIKE 'a%') = (t LIKE 'a%') AS x FROM things;
SELECT s ~ '^a' AS x, s !~ '^a' AS y, s ~* '^A' AS z, s !~* '^A' AS w FROM things;
SELECT s ~ '''' AS x, s ~ '\\' AS y FROM things;
SELECT (s ~ 'a') IS NULL AS x FROM things;
SELECT s ~ 'a' AND t ~ 'b' AS x FROM things;
SELECT regexp_like(s, '^a') AS x FROM things;
SELECT regexp_replace(s, '[ab]', 'x', 'g') AS x FROM things;
SELECT starts_with(s, 'a') AS x FROM things;
SELECT contains(s, 'a') AS x, ends_with(s, 'a') AS y FROM things;

-- BLOCKS: case
SELECT CASE WHEN b THEN 1 END AS x FROM things;
SELECT CASE WHEN b THEN 1 ELSE 2 END AS x FROM things;
SELECT CASE WHEN b THEN 1 WHEN c THEN 2 ELSE 3 END AS x FROM things;
SELECT CASE n WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'more' END AS x FROM things;
SELECT CASE n WHEN 1 THEN 'one' END AS x FROM things;
SELECT CASE n WHEN NULL THEN 'never' ELSE 'always' END AS x FROM things;
SELECT CASE n + 1 WHEN i32 * 2 THEN -n ELSE -(-n) END AS x FROM things;
SELECT CASE CASE WHEN b THEN 1 ELSE 2 END WHEN 1 THEN CASE WHEN c THEN 3 END ELSE 4 END AS x FROM things;
SELECT CASE (NOT b) IS NULL WHEN c THEN (NOT c) IS TRUE ELSE (NOT b) IS TRUE END AS x FROM things;
SELECT CASE WHEN (NOT b) IS NULL THEN 'x' ELSE CASE s WHEN 'a' THEN t ELSE s || t END END AS x FROM things;
SELECT CASE b WHEN true THEN n WHEN false THEN 0.5 END AS x FROM things;
SELECT CASE WHEN n > 1 THEN NULL ELSE n END AS x FROM things;
SELECT CASE WHEN false THEN 1 END AS x FROM things;
SELECT CASE WHEN b OR c THEN n BETWEEN 1 AND 3 ELSE n IN (4, 5) END AS x FROM things;
SELECT CASE WHEN b THEN DATE '2024-01-01' ELSE day END AS x FROM things;
SELECT CASE WHEN b THEN 1 END + CASE WHEN c THEN 2 ELSE 3 END AS x FROM things;
SELECT CASE WHEN n < 0 THEN 'low' WHEN n < 5 THEN 'mid' ELSE 'high' END AS band, count(*) FROM things GROUP BY 1;

-- BLOCKS: casts
SELECT CAST(n AS VARCHAR) AS x, CAST(b AS INT) AS y, CAST(n AS DOUBLE) AS z FROM things;
SELECT CAST(i16 AS INT) AS a, CAST(i16 AS BIGINT) AS b, CAST(i16 AS REAL) AS c FROM things;
SELECT CAST(CAST(i16 AS SMALLINT) AS BIGINT) AS x FROM things;
SELECT n::text AS x, n::double::text AS y FROM things;
SELECT (n + 1)::text AS x, (n::double) / 2 AS y FROM things;
SELECT TRY_CAST(s AS INT) AS x, TRY_CAST(s AS DATE) AS y, TRY_CAST(s AS BOOLEAN) AS z FROM things;
SELECT TRY_CAST(s AS DECIMAL(5,2)) AS x, TRY_CAST(f AS SMALLINT) AS y FROM things;
SELECT TRY_CAST(s AS TIMESTAMP) AS x, TRY_CAST(s AS TIMESTAMP(6)) AS y, TRY_CAST(s AS TIMESTAMPTZ) AS z FROM things;
SELECT TRY_CAST(n AS TIMESTAMP) AS x FROM things;
SELECT TRY_CAST('abc' AS INT) AS x, TRY_CAST('5' AS INT) AS y FROM places;
SELECT TRY_CAST(s AS BIGINT UNSIGNED) AS x FROM things;
SELECT SAFE_CAST(s AS INT) AS x FROM things;
SELECT arrow_try_cast(s, 'Int16') AS x FROM things;
SELECT TRY_CAST(TRY_CAST(s AS INT) + 1 AS SMALLINT) AS x FROM things;
SELECT arrow_cast(n, 'Float32') AS x, arrow_cast(n, 'Decimal128(20, 2)') AS y FROM things;
SELECT arrow_cast(at, 'Timestamp(Second, None)') AS x, arrow_cast(utc, 'Timestamp(Nanosecond, Some("Europe/London"))') AS y FROM things;
SELECT CAST(CAST(n AS VARCHAR) AS BIGINT) AS x FROM things;
SELECT CAST(s AS BYTEA) AS x FROM things;
SELECT CAST(CAST(n AS TINYINT) AS INT) AS x FROM things;
SELECT count(n), count(arrow_cast(n, 'Float64')), sum(n), sum(arrow_cast(n, 'Float64')) FROM things;
SELECT sum(arrow_cast(i16, 'Int32')) AS x, sum(arrow_cast(i16, 'Int64')) AS y FROM things;
SELECT sum(CAST(i16 AS DOUBLE)) FROM things;

-- BLOCKS: functions
SELECT upper(s) AS x, lower(s) AS y, LENGTH(s) AS z, char_length(s) AS w FROM things;
SELECT substr(s, 1, 2) AS x, substring(s FROM 2) AS y, SUBSTRING(s FROM 1 FOR 3) AS z FROM things;
SELECT trim(s) AS a, ltrim(s) AS b, rtrim(s) AS c, btrim(s, 'a') AS d, trim(BOTH 'a' FROM s) AS e FROM things;
SELECT concat(s, t, 1, NULL) AS x, concat_ws('-', s, t) AS y, s || t AS z FROM things;
SELECT s || 1 AS x, s || n || t AS y FROM things;
SELECT replace(s, 'a', '''') AS x, strpos(s, 'a') AS y, position('a' IN s) AS z FROM things;
SELECT left(s, 2) AS x, right(s, -1) AS y, reverse(s) AS z, lpad(s, 5, '*') AS w FROM things;
SELECT overlay(s PLACING 'x' FROM 1 FOR 1) AS x FROM things;
SELECT coalesce(s, t, 'none') AS x, nullif(n, 0) AS y, ifnull(n, 1) AS z, nvl(n, 2) AS w FROM things;
SELECT nvl2(n, 'some', 'none') AS x, greatest(n, i32, 0) AS y, least(n, i32, 0) AS z FROM things;
SELECT split_part(s, 'a', 1) AS x, repeat(s, 2) AS y, initcap(s) AS z, ascii(s) AS w FROM things;
SELECT md5(s) AS x, encode(sha256(s), 'hex') AS y FROM things;
SELECT coalesce(CASE WHEN b THEN nullif(n, 1) END, -1) AS x FROM things;
SELECT upper(lower(upper(s))) AS x FROM things;
SELECT id FROM things WHERE upper(s) = 'A' AND length(t) > 1;
SELECT arrow_typeof(n) AS x FROM things;
SELECT bit_length(s) AS x, octet_length(s) AS y FROM things;
SELECT translate(s, 'ab', 'xy') AS x, levenshtein(s, t) AS y, chr(65) AS z FROM things;

-- BLOCKS: aggregates
SELECT count(*) FROM things;
SELECT count(1), count(n) FROM things;
SELECT count('x') FROM things;
SELECT count(NULL) FROM things;
SELECT count(DISTINCT n) FROM things;
SELECT count(DISTINCT 1) FROM things;
SELECT count(DISTINCT n), count(n), count(*) FROM things;
SELECT count(n, s) FROM things;
SELECT count(DISTINCT n + 1), sum(DISTINCT n), min(DISTINCT s), max(DISTINCT s) FROM things;
SELECT count(ALL n) FROM things;
SELECT sum(n), avg(n), min(n), max(n) FROM things;
SELECT sum(i16), sum(i32), sum(g), avg(i16), avg(g) FROM things;
SELECT sum(n + i16 * 2), avg(CASE WHEN b THEN g END) FROM things;
SELECT sum(-n), sum(- -n), sum(n - 1) FROM things;
SELECT min(s), max(s), min(day), max(at), min(utc), max(b) FROM things;
SELECT bool_and(b), bool_or(c), bool_and(NOT b), bool_or((NOT b) IS NULL) FROM things;
SELECT bit_and(n), bit_or(n), bit_xor(n), bit_and(i16) FROM things;
SELECT var(g), var_pop(g), var_samp(g * 2), stddev(g + 1), stddev_pop(g), stddev_samp(g - 1) FROM things;
SELECT var_sample(g) FROM things;
SELECT covar(g, n), covar_pop(g, n), covar_samp(n, g), corr(g, n) FROM things;
SELECT regr_avgx(g, n), regr_avgy(g, n), regr_count(g, n), regr_intercept(g, n), regr_r2(g, n) FROM things;
SELECT regr_slope(g, n), regr_sxx(g, n), regr_sxy(g, n), regr_syy(g, n) FROM things;
SELECT mean(g) FROM things;
SELECT count(*) FILTER (WHERE b) FROM things;
SELECT count(*) FILTER (WHERE b), count(*) FILTER (WHERE NOT b), count(*) FILTER (WHERE b IS NULL) FROM things;
SELECT sum(n) FILTER (WHERE n > 0 AND (b OR c)), avg(g) FILTER (WHERE s LIKE 'a%') FROM things;
SELECT count(DISTINCT s) FILTER (WHERE n BETWEEN 1 AND 5) FROM things;
SELECT count(*) FILTER (WHERE true), count(*) FILTER (WHERE NULL) FROM things;
SELECT count(*) FROM things WHERE n > 100;
SELECT sum(n), count(*) FROM nobody AS o JOIN things ON place = code;
SELECT count(*), min(code) FROM nobody;
SELECT sum(1), avg(2.5) FROM things;

-- BLOCKS: keys
SELECT b, count(*) FROM things GROUP BY b;
SELECT b, c, count(*), sum(n) FROM things GROUP BY b, c;
SELECT b FROM things GROUP BY b;
SELECT DISTINCT b FROM things;
SELECT DISTINCT b, c, n FROM things;
SELECT DISTINCT n + 1 AS x, upper(s) AS y FROM things;
SELECT DISTINCT * FROM places;
SELECT b, count(*) AS c FROM things GROUP BY 1;
SELECT b AS flag, count(*) FROM things GROUP BY flag;
SELECT n + 1 AS x, count(*) FROM things GROUP BY n + 1;
SELECT n % 3 AS x, CASE WHEN b THEN 'y' ELSE 'n' END AS y, count(*) FROM things GROUP BY 1, 2;
SELECT (NOT b) IS NULL AS x, count(*) FROM things GROUP BY (NOT b) IS NULL;
SELECT f, count(*) FROM things GROUP BY f;
SELECT d, day, at, utc, count(*) FROM things GROUP BY d, day, at, utc;
SELECT date_trunc('month', at) AS m, count(*) FROM things GROUP BY 1;
SELECT extract(year FROM day) AS y, sum(d) FROM things GROUP BY extract(year FROM day);
SELECT CAST(at AS DATE) AS x, count(*) FROM things GROUP BY 1;
SELECT 'all' AS x, count(*) FROM things GROUP BY 1;
SELECT 'all' AS x, b, count(*) FROM things GROUP BY x, b;
SELECT CAST(5 AS BIGINT) AS x, count(*) FROM things GROUP BY CAST(5 AS BIGINT);
SELECT b AND c AS x, b OR c AS y, count(*) FROM things GROUP BY 1, 2;
SELECT n IN (1, 2) AS x, n BETWEEN 1 AND 2 AS y, s LIKE 'a%' AS z, count(*) FROM things GROUP BY 1, 2, 3;
SELECT -n AS x, count(*) FROM things GROUP BY -n;
SELECT s, count(*) FROM things GROUP BY ALL;
SELECT b, count(*) FROM (SELECT b FROM things WHERE n > 0) AS d GROUP BY b;
SELECT x, sum(y) FROM (SELECT n % 2 AS x, n * 2 AS y FROM things) AS d WHERE y > 0 GROUP BY x;
WITH d AS (SELECT n % 2 AS x, n * 2 AS y FROM things) SELECT x, sum(y) FROM d GROUP BY x;
WITH d AS (SELECT * FROM things WHERE b), e AS (SELECT * FROM d WHERE c) SELECT s, count(*) FROM e GROUP BY s;
SELECT b, count(*) FROM (SELECT * FROM things ORDER BY n) AS d GROUP BY b;

-- BLOCKS: joins
SELECT t.id, v.id FROM things AS t JOIN visits AS v ON v.thing = t.id;
SELECT t.id, v.id FROM things AS t INNER JOIN visits AS v ON v.thing = t.id WHERE v.minutes > 10;
SELECT t.id, v.id FROM things AS t, visits AS v WHERE v.thing = t.id;
SELECT t.id, v.id FROM things AS t CROSS JOIN visits AS v WHERE v.thing = t.id;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id AND v.minutes > 10;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id WHERE v.minutes > 10;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id WHERE v.id IS NULL;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id AND t.b;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON true;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON false;
SELECT t.id, v.id FROM visits AS v RIGHT JOIN things AS t ON v.thing = t.id;
SELECT v.id, t.id FROM visits AS v RIGHT OUTER JOIN things AS t ON v.thing = t.id AND v.minutes > t.n;
SELECT t.id, v.id, p.label FROM things AS t JOIN visits AS v ON v.thing = t.id JOIN places AS p ON p.code = t.place;
SELECT t.id, v.id, p.label FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id LEFT JOIN places AS p ON p.code = t.place;
SELECT t.id, v.id, p.label FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id JOIN places AS p ON p.code = t.place;
SELECT t.id, v.id, p.label FROM things AS t LEFT JOIN places AS p ON p.code = t.place JOIN visits AS v ON v.thing = t.id AND p.open;
SELECT t.id, p.code FROM things AS t JOIN (visits AS v JOIN places AS p ON p.code = v.minutes) ON v.thing = t.id;
SELECT t.id, v.id, p.code FROM things AS t JOIN (visits AS v LEFT JOIN places AS p ON p.code = v.minutes) ON v.thing = t.id;
SELECT t.id, v.id, p.code FROM (places AS p JOIN things AS t ON p.code = t.place) LEFT JOIN visits AS v ON v.thing = t.id;
SELECT t.id, v.id, p.code FROM visits AS v RIGHT JOIN (things AS t JOIN places AS p ON p.code = t.place) ON v.thing = t.id;
SELECT t.id, u.id FROM things AS t JOIN things AS u ON t.n = u.n AND t.id < u.id;
SELECT t.id, v.minutes FROM things AS t JOIN visits AS v USING (id);
SELECT id, minutes FROM things JOIN visits USING (id);
SELECT id, minutes FROM things LEFT JOIN visits USING (id);
SELECT id, b, minutes FROM things JOIN visits USING (id, day);
SELECT label, beds FROM places NATURAL JOIN (SELECT code, beds AS more FROM places) AS q;
SELECT * FROM places AS a JOIN places AS b ON a.code = b.code;
SELECT t.id FROM things AS t JOIN visits AS v ON v.thing = t.id OR v.minutes = t.n;
SELECT t.id FROM things AS t JOIN visits AS v ON v.thing + 1 = t.id - 1 AND NOT t.b;
SELECT t.id FROM things AS t JOIN visits AS v ON v.thing = t.id AND (NOT t.b) IS NULL;
SELECT t.id FROM things AS t JOIN visits AS v ON t.n IS NOT DISTINCT FROM v.thing;
SELECT t.id, d.x FROM things AS t JOIN (SELECT thing, minutes * 2 AS x FROM visits WHERE minutes > 0) AS d ON d.thing = t.id;
SELECT t.id, d.minutes FROM things AS t LEFT JOIN (SELECT thing, minutes FROM visits WHERE minutes > 0) AS d ON d.thing = t.id;
SELECT d.x, v.id FROM (SELECT id, n + 1 AS x FROM things WHERE b) AS d LEFT JOIN visits AS v ON v.thing = d.id AND v.minutes > d.x;
SELECT p.label, count(*), sum(v.cost) FROM things AS t JOIN places AS p ON p.code = t.place LEFT JOIN visits AS v ON v.thing = t.id GROUP BY p.label;
SELECT t.b, count(v.id), count(DISTINCT t.id) FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id GROUP BY t.b;
SELECT t.b, avg(v.score) FILTER (WHERE v.minutes > t.n) FROM things AS t JOIN visits AS v ON v.thing = t.id GROUP BY t.b;
SELECT a.code, b.code, c.code FROM places AS a, places AS b, places AS c WHERE a.code < b.code AND b.code < c.code;
SELECT a.code FROM places AS a, places AS b JOIN places AS c ON b.code = c.code WHERE a.code = c.code;
SELECT t.id, v.id FROM things AS t LEFT JOIN visits AS v ON t.id = v.thing AND v.kind = 'a' AND v.kind IS NOT NULL AND t.s <> v.kind;
SELECT coalesce(v.minutes, 0) AS x, v.id IS NULL AS y FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id;
SELECT t.id FROM things AS t LEFT JOIN nobody AS o ON o.code = t.place;

-- BLOCKS: rows
SELECT id FROM (SELECT id, n FROM things ORDER BY n) AS d LIMIT 3;
SELECT * FROM places;
SELECT * FROM places LIMIT 3;
SELECT id FROM things LIMIT 0;
SELECT id FROM things WHERE b LIMIT 5;
SELECT id FROM things LIMIT 1000;
SELECT id, id AS again FROM things;
SELECT p.*, p.code + 1 AS next FROM places AS p;
SELECT x + 1 AS y FROM (SELECT n * 2 AS x FROM things) AS d;
SELECT x FROM (SELECT x * 2 AS x FROM (SELECT n + 1 AS x FROM things) AS a) AS b WHERE x > 3;
SELECT d.a FROM (SELECT id, b FROM things) AS d (a, c) WHERE d.c;
SELECT a AS b, b AS a FROM (SELECT n AS a, i32 AS b FROM things) AS d;
SELECT * EXCLUDE (label) FROM places;
SELECT * REPLACE (code + 1 AS code) FROM places;
FROM places SELECT code;
FROM places;

-- BLOCKS: exists, in, derived tables
SELECT id FROM things WHERE id NOT IN (SELECT thing FROM visits);
SELECT t.id, v.id, p.code FROM things AS t LEFT JOIN (visits AS v JOIN places AS p ON p.code = v.minutes) ON v.thing = t.id;
SELECT t.id FROM things AS t LEFT SEMI JOIN visits AS v ON v.thing = t.id;
SELECT t.id FROM things AS t LEFT ANTI JOIN visits AS v ON v.thing = t.id;
SELECT t.id, d.x FROM things AS t LEFT JOIN (SELECT thing, 1 AS x FROM visits) AS d ON d.thing = t.id;
SELECT t.id, d.x FROM things AS t LEFT JOIN (SELECT thing, coalesce(minutes, 0) AS x FROM visits) AS d ON d.thing = t.id;
SELECT count(*) FROM things HAVING true;
SELECT count(*) FROM (SELECT b, count(*) FROM things GROUP BY b) AS d;
SELECT b FROM (SELECT b, count(*) AS c FROM things GROUP BY b) AS d;
SELECT b FROM (SELECT DISTINCT b, c FROM things) AS d;
SELECT count(*) FROM (SELECT DISTINCT b FROM things) AS d;
SELECT b, count(*) FROM things GROUP BY b HAVING count(*) > 1;
SELECT b, count(*) FROM things GROUP BY b LIMIT 1;
SELECT DISTINCT b FROM things LIMIT 1;
SELECT id FROM things ORDER BY id LIMIT 3;
SELECT t.id FROM things AS t LEFT SEMI JOIN visits AS v ON v.thing = t.id AND v.minutes > 5;
SELECT t.id FROM things AS t LEFT ANTI JOIN (SELECT v.thing FROM visits AS v JOIN places AS p ON p.code = v.minutes) AS d ON d.thing = t.id;
SELECT t.id, d.n FROM things AS t LEFT JOIN (SELECT thing, count(*) AS n FROM visits GROUP BY thing) AS d ON d.thing = t.id;
SELECT d.n, count(*) AS people FROM (SELECT thing, count(*) AS n FROM visits GROUP BY thing) AS d GROUP BY d.n;
SELECT d.thing, d.n FROM (SELECT thing, count(*) AS n FROM visits GROUP BY thing) AS d WHERE d.n > 1 ORDER BY n DESC NULLS LAST, thing LIMIT 3;
SELECT kind, sum(cost) AS c FROM visits WHERE kind NOT IN (SELECT s FROM things WHERE s IS NOT NULL) GROUP BY kind;
SELECT count(*) AS n FROM (SELECT DISTINCT kind FROM visits) AS d;
SELECT t.id, v.kind FROM things AS t JOIN (SELECT DISTINCT thing, kind FROM visits) AS v ON v.thing = t.id WHERE t.id NOT IN (SELECT code FROM places);

-- BLOCKS: windows
SELECT id, row_number() OVER (ORDER BY n, id) AS x FROM things;
SELECT id, sum(n) OVER (PARTITION BY b) AS x FROM things;
SELECT id FROM things QUALIFY row_number() OVER (PARTITION BY b ORDER BY id) = 1;
SELECT id, rank() OVER (PARTITION BY b ORDER BY n DESC) AS x, dense_rank() OVER (PARTITION BY b ORDER BY n DESC) AS y FROM things;
SELECT id, lag(n) OVER (PARTITION BY b ORDER BY id) AS x, lead(n, 2) OVER (PARTITION BY b ORDER BY id) AS y FROM things;
SELECT id, lag(n, 1, 5) OVER (ORDER BY id) AS x FROM things;
SELECT id, first_value(s) OVER (PARTITION BY b ORDER BY id) AS x, last_value(s) OVER (PARTITION BY b ORDER BY id) AS y FROM things;
SELECT id, count(*) OVER () AS x, count(s) OVER (PARTITION BY b, c) AS y FROM things;
SELECT id, sum(n) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS x FROM things;
SELECT id, min(n) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS x FROM things;
SELECT id, max(n) OVER (PARTITION BY b ORDER BY n RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS x FROM things;
SELECT id, count(*) OVER (ORDER BY n GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS x FROM things;
SELECT id, avg(n) OVER (PARTITION BY upper(s) ORDER BY n + 1, id) AS x FROM things;
SELECT id, row_number() OVER (PARTITION BY 1 ORDER BY id) AS x FROM things;
SELECT id, rank() OVER (PARTITION BY b ORDER BY 'x') AS x FROM things;
SELECT id, n - lag(n) OVER (PARTITION BY b ORDER BY id) AS x FROM things;
SELECT id, row_number() OVER (ORDER BY id) + row_number() OVER (ORDER BY id DESC) AS x FROM things;
SELECT d.x, count(*) AS n FROM (SELECT b, row_number() OVER (PARTITION BY b ORDER BY id) AS x FROM things) AS d GROUP BY d.x;
SELECT count(*) AS n FROM (SELECT id, row_number() OVER (PARTITION BY b ORDER BY id) AS x FROM things WHERE n > 0) AS d WHERE x = 1;
SELECT d.id, v.kind FROM (SELECT id, b, row_number() OVER (PARTITION BY b ORDER BY id) AS x FROM things) AS d JOIN visits AS v ON v.thing = d.id WHERE d.x < 3;
SELECT v.kind, d.x FROM visits AS v LEFT JOIN (SELECT id, row_number() OVER (ORDER BY id) AS x FROM things) AS d ON d.id = v.thing;
SELECT kind, rank() OVER (ORDER BY n DESC, kind) AS x FROM (SELECT kind, count(*) AS n FROM visits GROUP BY kind) AS d;
SELECT thing, max(x) AS n FROM (SELECT thing, row_number() OVER (PARTITION BY thing ORDER BY day, kind, minutes) AS x FROM visits) AS d GROUP BY thing;
SELECT id, x, row_number() OVER (PARTITION BY x ORDER BY id) AS y FROM (SELECT id, dense_rank() OVER (ORDER BY n) AS x FROM things) AS d;

-- BLOCKS THAT FAIL: before and after
SELECT arrow_cast('1200', 'Decimal128(5, -2)') AS x FROM places;
SELECT CAST('abc' AS INT) AS x FROM places;
SELECT CAST('2024-13-01' AS DATE) AS x FROM places;
SELECT CAST(300 AS TINYINT) AS x FROM places;
SELECT 1 / 0 AS x FROM places;
SELECT n / 0 AS x FROM things;
SELECT CAST(s AS INT) AS x FROM things;
SELECT id FROM things WHERE s = 5;
SELECT s LIKE 'a!%b' ESCAPE '!' AS x FROM things;
SELECT s ~ '(' AS x FROM things;
SELECT CAST('99999999999' AS DECIMAL(5,2)) AS x FROM places;
SELECT CAST(i64 AS SMALLINT) AS x FROM things;

-- NOT BLOCKS: set operations
SELECT id FROM things UNION ALL SELECT id FROM visits;
SELECT id FROM things UNION SELECT id FROM visits;
SELECT n FROM things INTERSECT SELECT thing FROM visits;
SELECT n FROM things INTERSECT ALL SELECT thing FROM visits;
SELECT n FROM things EXCEPT SELECT thing FROM visits;
SELECT n FROM things EXCEPT ALL SELECT thing FROM visits;
(SELECT id FROM things LIMIT 2) UNION ALL SELECT id FROM visits;
SELECT id FROM things UNION ALL (SELECT id FROM visits LIMIT 2);
SELECT count(*) FROM (SELECT n FROM things INTERSECT SELECT thing FROM visits) AS d;
SELECT count(*) FROM (SELECT id FROM things UNION ALL SELECT id FROM visits) AS d;

-- NOT BLOCKS: aggregates that depend on an order, or are not the nodes'
SELECT array_agg(n ORDER BY id DESC) FROM things;
SELECT array_agg(n) FROM things;
SELECT string_agg(s, ',' ORDER BY id) FROM things;
SELECT first_value(n ORDER BY id) FROM things;
SELECT last_value(n) FROM things;
SELECT nth_value(n, 2 ORDER BY id) FROM things;
SELECT sum(n ORDER BY id) FROM things;
SELECT median(n) FROM things;
SELECT approx_distinct(n) FROM things;
SELECT approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY g) FROM things;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY g) FROM things;
SELECT grouping(b), count(*) FROM things GROUP BY b;
SELECT hedgerow_people(id, 10) FROM things;
SELECT b, hedgerow_people(id, 10) FROM things GROUP BY b;

-- NOT BLOCKS: patterns and comparisons of other kinds
SELECT id FROM things WHERE s SIMILAR TO 'a%';
SELECT id FROM things WHERE s NOT SIMILAR TO '(a|b)%';
SELECT id FROM things WHERE id IN (SELECT thing FROM visits);
SELECT id FROM things AS t WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.thing = t.id);
SELECT id FROM things WHERE n = (SELECT max(n) FROM things);
SELECT id, (SELECT count(*) FROM visits) AS x FROM things;

-- NOT BLOCKS: joins that do not come one after the other
SELECT t.id, v.id FROM things AS t FULL JOIN visits AS v ON v.thing = t.id;
SELECT t.id, v.organisation FROM things AS t LEFT JOIN visits AS v ON v.thing = t.id;
SELECT t.id, l.id FROM things AS t CROSS JOIN LATERAL (SELECT v.id FROM visits AS v WHERE v.thing = t.id) AS l;
SELECT * FROM places NATURAL FULL JOIN places AS q;

-- NOT BLOCKS: several levels
SELECT code FROM places |> WHERE code > 1;
SELECT DISTINCT b FROM (SELECT b, count(*) AS c FROM things GROUP BY b) AS d;
SELECT count(*) FROM (SELECT id FROM things LIMIT 3) AS d;
SELECT id FROM (SELECT id FROM things LIMIT 3) AS d LIMIT 2;
SELECT id FROM (SELECT id FROM things LIMIT 3) AS d WHERE id > 5;
SELECT DISTINCT ON (b) b, id FROM things ORDER BY b, id;
SELECT b, c, count(*) FROM things GROUP BY ROLLUP (b, c);
SELECT b, c, count(*) FROM things GROUP BY CUBE (b, c);
SELECT b, c, count(*) FROM things GROUP BY GROUPING SETS ((b), (c));
WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 3) SELECT x FROM r;

-- NOT BLOCKS: windows that are no nodes' own
SELECT id, ntile(4) OVER (ORDER BY id) AS x FROM things;
SELECT id, nth_value(n, 2) OVER (ORDER BY id) AS x FROM things;
SELECT id, percent_rank() OVER (ORDER BY id) AS x FROM things;
SELECT id, stddev(f) OVER (PARTITION BY b) AS x FROM things;
SELECT id, sum(n) FILTER (WHERE c) OVER (PARTITION BY b) AS x FROM things;
SELECT id, lag(n) IGNORE NULLS OVER (ORDER BY id) AS x FROM things;
SELECT id, sum(n) OVER (ORDER BY n RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM things;

-- NOT BLOCKS: an output that is not keys and then aggregates
SELECT count(*), b FROM things GROUP BY b;
SELECT sum(n) + 1 FROM things;
SELECT sum(n) / count(*) FROM things;
SELECT count(*) FROM things GROUP BY b;
SELECT b, b AS again, count(*) FROM things GROUP BY b;
SELECT b, c FROM things GROUP BY c, b;
SELECT count(*), count(*) AS again FROM things;
SELECT upper(s) AS x, count(*) FROM things GROUP BY s;
SELECT DISTINCT b, b AS again FROM things;

-- NOT BLOCKS: order
SELECT id FROM things ORDER BY id;
SELECT id FROM things ORDER BY n LIMIT 3;
SELECT id FROM things LIMIT 3 OFFSET 2;
SELECT id FROM things OFFSET 2;
SELECT b, count(*) FROM things GROUP BY b ORDER BY 2;
SELECT id FROM things LIMIT NULL;

-- BLOCKS: long chains
SELECT n + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18 + 19 + 20 + 21 + 22 + 23 + 24 + 25 + 26 + 27 + 28 + 29 + 30 + 31 + 32 + 33 + 34 + 35 + 36 + 37 + 38 + 39 + 40 + 41 + 42 + 43 + 44 + 45 + 46 + 47 + 48 + 49 + 50 + 51 + 52 + 53 + 54 + 55 + 56 + 57 + 58 + 59 + 60 + 61 + 62 + 63 + 64 + 65 + 66 + 67 + 68 + 69 + 70 AS x FROM things;
SELECT s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t || s || t AS x FROM things;

-- BLOCKS: inline tables
SELECT * FROM (VALUES (1), (2)) AS v (x);
SELECT t.id FROM things AS t, (VALUES (1)) AS v (x) WHERE t.n = v.x;
SELECT t.id, v.y FROM things AS t JOIN (VALUES (1, 'one'), (-2, 'it''s'), (NULL, NULL)) AS v (x, y) ON t.n = v.x;
SELECT v.y, count(*) FROM (VALUES ('a', 1.5), ('b', 2.25), (NULL, -3)) AS v (x, y) JOIN things AS t ON t.s = v.x GROUP BY v.y;
SELECT t.id, v.y FROM things AS t LEFT JOIN (VALUES (1, true), (2, NULL)) AS v (x, y) ON t.n = v.x AND v.y;
SELECT v.x, t.id FROM (VALUES (1), (2), (99)) AS v (x) LEFT JOIN things AS t ON t.n = v.x;
SELECT t.id FROM things AS t JOIN (VALUES (CAST(1 AS SMALLINT), DATE '2024-02-29', TIMESTAMP '2024-02-29 12:30:00')) AS v (x, d, p) ON t.i16 = v.x WHERE v.d > t.day OR v.p IS NULL;
SELECT t.id FROM things AS t JOIN (VALUES (1.0, CAST('NaN' AS DOUBLE), CAST(NULL AS DECIMAL(9, 2)))) AS v (x, n, d) ON t.f < v.x;
SELECT t.id FROM things AS t JOIN (SELECT x + 1 AS z FROM (VALUES (1), (2)) AS v (x) WHERE x < 2) AS w ON w.z = t.n;
SELECT a.x, b.x FROM (VALUES (1), (2)) AS a (x) CROSS JOIN (VALUES ('p'), ('q')) AS b (x) JOIN places ON places.code = a.x;
SELECT t.id FROM things AS t LEFT SEMI JOIN (VALUES (1), (3)) AS v (x) ON t.n = v.x;
SELECT t.id FROM things AS t LEFT ANTI JOIN (VALUES (1), (3)) AS v (x) ON t.n = v.x;
SELECT t.id FROM things AS t JOIN (SELECT DISTINCT x FROM (VALUES (1), (1), (2)) AS v (x)) AS w ON w.x = t.n;
SELECT v."Mixed Case" FROM places, (VALUES (1)) AS v ("Mixed Case");

-- NOT BLOCKS: inline tables of more than constants
SELECT t.id FROM things AS t, (VALUES (CAST('x' AS INT))) AS v (x) WHERE t.n = v.x;
SELECT t.id FROM things AS t, (VALUES (1 + 1, upper('a'))) AS v (x, y) WHERE t.n = v.x;
SELECT t.id FROM things AS t, (VALUES (random())) AS v (x) WHERE t.f = v.x;
SELECT t.id FROM things AS t, (VALUES ((SELECT max(code) FROM places))) AS v (x) WHERE t.n = v.x;

-- NOT BLOCKS: what is not a table, or differs from node to node
SELECT X'cafe' AS x FROM places;
SELECT 1 AS x;
SELECT unnest(make_array(1, 2)) AS x FROM places;
SELECT random() AS x FROM places;
SELECT now() AS x FROM places;
SELECT current_date AS x FROM places;
SELECT id FROM things WHERE day < current_date;
SELECT uuid() AS x FROM places;
SELECT $1 AS x FROM places;

-- NOT READ: what no plan could hold
SELECT id FROM things WHERE n BETWEEN SYMMETRIC 3 AND 1;
TABLE places;
SELECT sum(n) IGNORE NULLS FROM things;
SELECT id FROM (SELECT id FROM things) AS d TABLESAMPLE BERNOULLI (10);
SELECT id FROM things PARTITION (p0);
SELECT id FROM things ORDER BY id WITH FILL;
SELECT sum(n LIMIT 1) FROM things;
SELECT sum(n HAVING MAX n) FROM things;
SELECT sum(0.5)(n) FROM things;
SELECT t.id FROM things AS t ASOF JOIN visits AS v MATCH_CONDITION (t.at >= v.at) ON v.thing = t.id;
SELECT id FROM things ARRAY JOIN s;
SELECT b, count(*) FROM things GROUP BY b WITH TOTALS;
SELECT b, count(*) FROM things GROUP BY ALL WITH CUBE;
SELECT count(*) FROM (SELECT id FROM things PREWHERE b) AS d;
SELECT id FROM things TABLESAMPLE BERNOULLI (10);
SELECT id FROM things FETCH FIRST 2 ROWS ONLY;
SELECT TOP 2 id FROM things;
SELECT id FROM things PREWHERE b;
SELECT id FROM things START WITH id = 1 CONNECT BY n = PRIOR id;
SELECT id FROM things LIMIT 1 BY b;
SELECT id FROM things FOR SYSTEM_TIME AS OF '2024-01-01';
SELECT b, count(*) FROM things GROUP BY b WITH ROLLUP;
SELECT sum(n) WITHIN GROUP (ORDER BY id) FROM things;
SELECT id FROM things WHERE s LIKE ANY ('a%', 'b%');
SELECT CAST('2024' AS DATE FORMAT 'YYYY') AS x FROM places;
SELECT s COLLATE "C" AS x FROM things;
SELECT id FROM things; SELECT 1;
SELECT id FROM missing;
SELECT missing FROM things;
DELETE FROM things;
