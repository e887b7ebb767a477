-- Asked over TPC-H with every run. An ORDER BY that counts begins a line.
SELECT a.o_orderdate, nullif(a.o_orderdate, DATE '1993-05-25') AS x1, a.o_orderdate AS x2 FROM orders a WHERE a.o_orderdate <= DATE '1997-02-25' UNION ALL SELECT a.o_orderdate, nullif(a.o_orderdate, DATE '1993-05-25') AS x1, a.o_orderdate AS x2 FROM orders a WHERE a.o_comment LIKE 'li%' UNION ALL SELECT a.o_orderdate, nullif(a.o_orderdate, DATE '1993-05-25') AS x1, a.o_orderdate AS x2 FROM orders a WHERE EXISTS (SELECT 1 FROM orders b WHERE a.o_orderkey = b.o_orderkey AND b.o_totalprice IS DISTINCT FROM 100954.64)
ORDER BY 2, 1 ASC NULLS FIRST, 3;
SELECT a.p_brand, sum(a.p_retailprice) AS x1, count(DISTINCT a.p_size) AS x2 FROM part a WHERE a.p_size < 3 GROUP BY 1;
