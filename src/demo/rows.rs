//! How tables about people are filled: person by person, in blocks of bounded size.
//!
//! Main type: [`PersonTable`].

use arrow::array::ArrayRef;

use super::people::Known;
use super::random::Chance;

/// Most people of one organisation who share a rare condition.
const HANDFUL_MAX: u32 = 9;

/// A table whose rows are drawn for one person after another.
pub(super) trait PersonTable {
    /// Draws the rows of one person.
    fn add(&mut self, known: &Known);

    /// Draws the rows that only a handful of all `people` have; called once, at the end.
    fn add_rare(&mut self, _people: &[Known]) {}

    /// Takes the columns of the rows drawn since the last call, in the contract's order.
    fn take(&mut self) -> Vec<ArrayRef>;
}

/// One to nine of `people`, or fewer where there are fewer.
pub(super) fn handful<'a>(
    chance: &mut Chance,
    people: &'a [Known],
) -> impl Iterator<Item = &'a Known> + use<'a> {
    // numbers are shuffled already, so neighbours have nothing in common
    let size = 1 + chance.below(HANDFUL_MAX);
    let places = u32::try_from(people.len()).unwrap_or(u32::MAX).saturating_sub(size);
    people.iter().skip(chance.below(places) as usize).take(size as usize)
}
