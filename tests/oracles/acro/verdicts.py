"""What acro, the output checker of the SACRO project, says of each cell of generated tables.

    verdicts.py FOLDER

Reads every NAME.csv in the folder, whose rows have `person_number`, `site`, `unit` and `amount`,
and prints one line for each cell that has rows: table, site, unit, and for each of acro's checks
1 where acro would have the cell withheld and 0 where not.

acro looks at rows where the rules speak of people, so rows are added up by person first: one row
for each person and cell, with the sum of |amount|. A row without amount adds nothing. The checks
themselves are acro's own, with its default configuration.
"""

import csv
import logging
import pathlib
import sys

import pandas as pd

import acro

# acro's names of its checks, in the order in which they are printed.
CHECKS = ("MinimumThresholdCheck", "NKCheck", "PPercentCheck")
CELL = ["site", "unit"]


def per_person(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each person and cell, with the sum of |amount| over the person's rows there.

    All rows of nobody known are one person, as they are to a node.
    """
    rows = rows.assign(amount=rows["amount"].abs().fillna(0))
    people = rows.groupby(CELL + ["person_number"], as_index=False, dropna=False)
    return people["amount"].sum()


def withheld(people: pd.DataFrame) -> dict:
    """For each of acro's checks the cells that fail it, as positions in acro's own table."""
    session = acro.ACRO(suppress=False)
    session.crosstab(people["site"], people["unit"], values=people["amount"], aggfunc="sum")
    sdc = session.results.get_index(0).sdc
    missing = [check for check in CHECKS if check not in sdc["cells"]]
    if missing:
        raise SystemExit(f"acro {acro.__version__} has no results of {', '.join(missing)}")
    return {check: {tuple(place) for place in sdc["cells"][check]} for check in CHECKS}


def verdicts(table: str, rows: pd.DataFrame):
    """The lines of one table."""
    people = per_person(rows)
    failed = withheld(people)
    # acro's table has sorted values of `site` down and of `unit` across.
    sites, units = sorted(people["site"].unique()), sorted(people["unit"].unique())
    for site, unit in sorted(set(zip(people["site"], people["unit"]))):
        place = (sites.index(site), units.index(unit))
        yield [table, site, unit, *(int(place in failed[check]) for check in CHECKS)]


def main() -> None:
    """Prints the verdicts of all tables in a folder."""
    logging.disable(logging.CRITICAL)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["table", *CELL, "threshold", "nk", "p_ratio"])
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.csv")):
        rows = pd.read_csv(path, dtype={"site": str, "unit": str})
        out.writerows(verdicts(path.stem, rows))


if __name__ == "__main__":
    main()
