"""What the Office for National Statistics' package cell-key-perturbation makes of generated tables.

    ons_10_5.py FOLDER

Reads every NAME.csv in the folder, whose rows are people with `site` and `unit`, and prints a line
for each place, those that nobody is in included: the number of people as the package shows it with
its own table for a threshold of 10 and base 5, and nothing where it shows none.
"""

import contextlib
import csv
import pathlib
import sys

import pandas as pd

from cell_key_perturbation.create_perturbed_table import create_perturbed_table
from cell_key_perturbation.utils.generate_test_ptable import generate_ptable_10_5_rule

PLACE = ["site", "unit"]


def shown(table: str, people: pd.DataFrame, ptable: pd.DataFrame):
    """The lines of one table."""
    # Any keys will do: the table perturbs nothing, it rounds.
    people = people.assign(record_key=people.index % 256)
    # The package says on standard output that it has checked what it was given.
    with contextlib.redirect_stdout(sys.stderr):
        counts = create_perturbed_table(
            data=people, ptable=ptable, geog=PLACE[:1], tab_vars=PLACE[1:], record_key="record_key"
        )
    for _, row in counts.iterrows():
        count = "" if pd.isna(row["count"]) else int(row["count"])
        yield [table, row["site"], row["unit"], count]


def main() -> None:
    """Prints the counts of all tables in a folder."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["table", *PLACE, "count"])
    ptable = generate_ptable_10_5_rule()
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.csv")):
        people = pd.read_csv(path, dtype={"site": str, "unit": str})
        out.writerows(shown(path.stem, people, ptable))


if __name__ == "__main__":
    main()
