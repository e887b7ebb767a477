//! The fictional organisations of the demo federation.
//!
//! Main type: [`DemoOrganisation`]; how many there are, [`organisations`] decides.

/// The most organisations a demo federation can have.
pub const ORGANISATIONS_MAX: usize = 240;

/// What an organisation does, which decides the tables it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrganisationKind {
    /// An acute hospital trust: every table.
    Acute,
    /// A mental-health trust: no emergency department.
    MentalHealth,
    /// A community and GP federation: clinics, practices and vaccinations, no hospital spells.
    Community,
}

impl OrganisationKind {
    /// The kind as `organisation_directory` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acute => "acute",
            Self::MentalHealth => "mental_health",
            Self::Community => "community",
        }
    }
}

/// One fictional organisation.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoOrganisation {
    /// Short id, the name of its node and folder.
    pub id: String,
    /// Name for people to read.
    pub name: String,
    /// What it does.
    pub kind: OrganisationKind,
    /// Code of its integrated care board.
    pub icb: String,
    /// Code of its region.
    pub region: String,
    /// Its part of all people, 0 to 1; the parts of one federation sum to 1.
    pub share: f64,
}

const FIRST: [(&str, &str, OrganisationKind, usize, f64); 5] = [
    ("northmoor", "Northmoor Hospitals Trust", OrganisationKind::Acute, 0, 0.28),
    ("westlea", "Westlea General Hospital Trust", OrganisationKind::Acute, 1, 0.22),
    ("castlebridge", "Castlebridge and Vale Hospitals Trust", OrganisationKind::Acute, 1, 0.17),
    ("fenmarsh", "Fenmarsh Mental Health Trust", OrganisationKind::MentalHealth, 0, 0.11),
    ("hartwell", "Hartwell Community and GP Federation", OrganisationKind::Community, 1, 0.22),
];

/// Fictional integrated care boards, each with its fictional region.
const BOARDS: [(&str, &str); 2] = [("ZQ1", "ZY1"), ("ZQ2", "ZY2")];

const PREFIXES: [&str; 16] = [
    "ash", "bram", "corven", "dun", "elm", "fal", "gren", "hazel", "ivy", "kes", "lark", "mar",
    "nether", "oak", "pen", "quill",
];
const SUFFIXES: [&str; 15] = [
    "brook", "combe", "dale", "fell", "garth", "holt", "keld", "lade", "mere", "ness", "royd",
    "shaw", "stead", "thwaite", "wick",
];

/// The first `count` organisations of the demo, at most [`ORGANISATIONS_MAX`].
///
/// Five have fixed names; further ones follow in a fixed order, so a larger federation contains
/// the smaller one. Shares are of the `count` taken.
pub fn organisations(count: usize) -> Vec<DemoOrganisation> {
    let fixed = FIRST.into_iter().map(|(id, name, kind, board, share)| {
        organisation(id.to_owned(), name.to_owned(), kind, board, share)
    });
    let mut taken: Vec<_> =
        fixed.chain((0..ORGANISATIONS_MAX - FIRST.len()).map(generated)).take(count).collect();
    let whole: f64 = taken.iter().map(|one| one.share).sum();
    for one in &mut taken {
        one.share /= whole;
    }
    taken
}

/// A fictional care board that coordinates some of the organisations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DemoBoard {
    /// Short id, the name of its federation and folder.
    pub(crate) id: &'static str,
    /// Name for people to read.
    pub(crate) name: &'static str,
    /// The ids of its organisations, in their order.
    pub(crate) organisations: Vec<String>,
}

/// The most boards a demo federation can have.
pub(crate) const BOARDS_MAX: usize = 6;

const COORDINATING: [(&str, &str); BOARDS_MAX] = [
    ("midshire", "Midshire Care Board"),
    ("eastshire", "Eastshire Care Board"),
    ("northshire", "Northshire Care Board"),
    ("westshire", "Westshire Care Board"),
    ("southshire", "Southshire Care Board"),
    ("lakeshire", "Lakeshire Care Board"),
];

/// The organisations dealt out to `count` boards in turn, each of which has one at least.
pub(crate) fn boards(count: usize, organisations: &[DemoOrganisation]) -> Vec<DemoBoard> {
    let count = count.min(organisations.len());
    let board = |(number, (id, name)): (usize, (&'static str, &'static str))| DemoBoard {
        id,
        name,
        organisations: organisations
            .iter()
            .skip(number)
            .step_by(count.max(1))
            .map(|organisation| organisation.id.clone())
            .collect(),
    };
    COORDINATING.into_iter().take(count).enumerate().map(board).collect()
}

fn generated(index: usize) -> DemoOrganisation {
    let prefix = index % PREFIXES.len();
    let suffix = (index / PREFIXES.len() + prefix) % SUFFIXES.len();
    let word = |words: &[&'static str], at: usize| words.get(at).copied().unwrap_or_default();
    let id = format!("{}{}", word(&PREFIXES, prefix), word(&SUFFIXES, suffix));
    let (kind, ending) = match index % 5 {
        0 | 2 => (OrganisationKind::Acute, "Hospitals Trust"),
        1 | 4 => (OrganisationKind::Community, "Community and GP Federation"),
        _ => (OrganisationKind::MentalHealth, "Mental Health Trust"),
    };
    let capital: String = id
        .char_indices()
        .map(|(at, letter)| if at == 0 { letter.to_ascii_uppercase() } else { letter })
        .collect();
    let share = 0.08 + 0.02 * ((index * 7) % 9) as f64;
    organisation(id, format!("{capital} {ending}"), kind, index % BOARDS.len(), share)
}

fn organisation(
    id: String,
    name: String,
    kind: OrganisationKind,
    board: usize,
    share: f64,
) -> DemoOrganisation {
    let (icb, region) = BOARDS.get(board).copied().unwrap_or_default();
    DemoOrganisation { id, name, kind, icb: icb.to_owned(), region: region.to_owned(), share }
}
