-- Asked over TPC-H with `organisation`, and numbers that are within an organisation.

-- NULL is no number of one organisation, also where it comes out of an outer join further down.
SELECT d.id, count(*) AS n, sum(d.m) AS m
FROM (SELECT c.organisation, o.o_orderkey AS id, count(*) AS m
      FROM customer c LEFT JOIN orders o ON c.c_custkey = o.o_custkey
      GROUP BY c.organisation, o.o_orderkey) d
GROUP BY d.id;

SELECT d.id, count(*) AS n
FROM (SELECT DISTINCT c.organisation, o.o_orderkey AS id
      FROM orders o RIGHT JOIN customer c ON c.c_custkey = o.o_custkey) d
GROUP BY d.id;
