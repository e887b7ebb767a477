"""What acro, the output checker of the SACRO project, says of each cell of generated tables.

    verdicts.py FOLDER

Reads every NAME.csv in the folder, whose rows have `person_number`, `site`, `unit` and `amount`,
and prints a line for each place of a crosstab of sites and units, those that nobody is in included,
and each of two cells, `count` (of rows) and `sum` (of amounts): 1 for each of acro's checks that
would have the cell withheld, and 0 for each that would not.

acro looks at rows where the rules speak of people, and has no verdict on dominance where any number
is negative. So rows are added up first: one row for each person and place, with how many rows the
person has there, and the sum of their |amount|. A row without amount adds nothing to the sum. The
checks themselves are acro's own, with its default configuration.
"""

import csv
import itertools
import logging
import pathlib
import sys

import pandas as pd

import acro

# acro's names of its checks, in the order in which they are printed.
CHECKS = ("MinimumThresholdCheck", "NKCheck", "PPercentCheck")
PLACE = ["site", "unit"]
CELLS = ["count", "sum"]


def per_person(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each person, place and cell, with what the person adds to it.

    All rows of nobody known are one person, as they are to a node.
    """
    rows = rows.assign(amount=rows["amount"].abs().fillna(0))
    people = rows.groupby(PLACE + ["person_number"], as_index=False, dropna=False)
    people = people.agg(count=("amount", "size"), sum=("amount", "sum"))
    return people.melt(PLACE, CELLS, var_name="cell", value_name="part")


def withheld(people: pd.DataFrame) -> dict:
    """For each of acro's checks the places that fail it, by their numbers in acro's own table."""
    session = acro.ACRO(suppress=False)
    session.crosstab(
        [people["cell"], people["site"]], people["unit"], values=people["part"], aggfunc="sum"
    )
    sdc = session.results.get_index(0).sdc
    missing = [check for check in CHECKS if check not in sdc["cells"]]
    if missing:
        raise SystemExit(f"acro {acro.__version__} has no results of {', '.join(missing)}")
    return {check: {tuple(place) for place in sdc["cells"][check]} for check in CHECKS}


def verdicts(table: str, rows: pd.DataFrame):
    """The lines of one table."""
    people = per_person(rows)
    failed = withheld(people)
    # acro's table has sorted cells and sites down, and sorted units across.
    sites, units = sorted(people["site"].unique()), sorted(people["unit"].unique())
    for down, (cell, site) in enumerate(itertools.product(CELLS, sites)):
        for across, unit in enumerate(units):
            flags = (int((down, across) in failed[check]) for check in CHECKS)
            yield [table, site, unit, cell, *flags]


def main() -> None:
    """Prints the verdicts of all tables in a folder."""
    logging.disable(logging.CRITICAL)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["table", *PLACE, "cell", "threshold", "nk", "p_ratio"])
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.csv")):
        rows = pd.read_csv(path, dtype={"site": str, "unit": str})
        out.writerows(verdicts(path.stem, rows))


if __name__ == "__main__":
    main()
