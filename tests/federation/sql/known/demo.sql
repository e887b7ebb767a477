-- Asked over the demo with every run. An ORDER BY that counts begins a line.
SELECT left(c.x1, 2) AS x2, count(*) AS x3 FROM (SELECT DISTINCT a.federation_pseudonym AS x1 FROM person a LEFT JOIN organisation_directory b ON a.organisation = b.organisation_code AND b.organisation_code = 'fenmarsh' WHERE upper(b.region) = upper('ZY1')) c GROUP BY left(c.x1, 2);
