//! Code lists of the demo: treatment functions and ICD-10 chapters, with how usual each is.
//!
//! Codes and titles are the national ones; weights and waits are made up.

use super::organisations::OrganisationKind;

/// A treatment function and how much of each kind of organisation's work it is.
pub(super) struct TreatmentFunction {
    /// National code.
    pub(super) code: &'static str,
    /// National name.
    pub(super) name: &'static str,
    acute: f64,
    mental_health: f64,
    community: f64,
    /// Mean wait to treatment of a routine referral, in weeks; long ones leave a backlog.
    pub(super) wait_weeks_mean: f64,
}

impl TreatmentFunction {
    /// How usual the function is at a kind of organisation.
    pub(super) fn weight(&self, kind: OrganisationKind) -> f64 {
        match kind {
            OrganisationKind::Acute => self.acute,
            OrganisationKind::MentalHealth => self.mental_health,
            OrganisationKind::Community => self.community,
        }
    }
}

/// The treatment function that only a handful of people are ever referred to.
pub(super) const RARE_TREATMENT_FUNCTION: &str = "311";

const fn function(
    code: &'static str,
    name: &'static str,
    [acute, mental_health, community]: [f64; 3],
    wait_weeks_mean: f64,
) -> TreatmentFunction {
    TreatmentFunction { code, name, acute, mental_health, community, wait_weeks_mean }
}

/// Treatment functions in order of their codes.
pub(super) const TREATMENT_FUNCTIONS: [TreatmentFunction; 29] = [
    function("100", "General Surgery", [9.0, 0.0, 0.0], 26.0),
    function("101", "Urology", [6.0, 0.0, 0.0], 24.0),
    function("110", "Trauma and Orthopaedics", [14.0, 0.0, 3.0], 44.0),
    function("120", "Ear Nose and Throat", [9.0, 0.0, 2.0], 40.0),
    function("130", "Ophthalmology", [13.0, 0.0, 4.0], 28.0),
    function("140", "Oral Surgery", [4.0, 0.0, 0.0], 42.0),
    function("160", "Plastic Surgery", [2.5, 0.0, 0.0], 34.0),
    function("300", "General Internal Medicine", [2.0, 0.0, 0.0], 10.0),
    function("301", "Gastroenterology", [7.0, 0.0, 0.0], 30.0),
    function("311", "Clinical Genetics", [0.0, 0.0, 0.0], 30.0),
    function("320", "Cardiology", [6.0, 0.0, 0.0], 20.0),
    function("330", "Dermatology", [8.0, 0.0, 6.0], 22.0),
    function("340", "Respiratory Medicine", [4.0, 0.0, 3.0], 24.0),
    function("400", "Neurology", [4.0, 0.0, 0.0], 34.0),
    function("410", "Rheumatology", [3.0, 0.0, 0.0], 18.0),
    function("420", "Paediatrics", [4.0, 0.0, 3.0], 20.0),
    function("430", "Elderly Medicine", [2.0, 0.0, 3.0], 10.0),
    function("502", "Gynaecology", [8.0, 0.0, 2.0], 42.0),
    function("650", "Physiotherapy", [3.0, 0.0, 30.0], 12.0),
    function("651", "Occupational Therapy", [1.0, 2.0, 9.0], 16.0),
    function("652", "Speech and Language Therapy", [0.5, 0.0, 9.0], 30.0),
    function("653", "Podiatry", [0.5, 0.0, 14.0], 12.0),
    function("654", "Dietetics", [0.8, 1.0, 8.0], 14.0),
    function("656", "Clinical Psychology", [0.0, 18.0, 0.0], 30.0),
    function("710", "Adult Mental Health", [0.0, 45.0, 0.0], 14.0),
    function("711", "Child and Adolescent Psychiatry", [0.0, 22.0, 0.0], 42.0),
    function("712", "Forensic Psychiatry", [0.0, 0.6, 0.0], 8.0),
    function("715", "Old Age Psychiatry", [0.0, 14.0, 0.0], 12.0),
    function("727", "Dementia Assessment Service", [0.0, 8.0, 0.0], 24.0),
];

/// A chapter of ICD-10 and how usual it is by the way people come in.
pub(super) struct Chapter {
    /// Number, two digits.
    pub(super) code: &'static str,
    /// Title.
    pub(super) name: &'static str,
    /// Weight among elective admissions to acute trusts.
    pub(super) elective: f64,
    /// Weight among emergency admissions to acute trusts.
    pub(super) emergency: f64,
    /// Weight among maternity admissions.
    pub(super) maternity: f64,
    /// Weight at mental-health trusts.
    pub(super) mental_health: f64,
    /// Length of stay as a multiple of the usual one.
    pub(super) stay: f64,
    /// Usual three-character categories, most usual first.
    pub(super) categories: &'static [&'static str],
}

const fn chapter(
    code: &'static str,
    name: &'static str,
    [elective, emergency, maternity, mental_health]: [f64; 4],
    stay: f64,
    categories: &'static [&'static str],
) -> Chapter {
    Chapter { code, name, elective, emergency, maternity, mental_health, stay, categories }
}

/// Chapters in order of their numbers.
pub(super) const CHAPTERS: [Chapter; 22] = [
    chapter(
        "01",
        "Certain infectious and parasitic diseases",
        [0.5, 7.0, 0.0, 0.0],
        1.3,
        &["A41", "A09", "B34"],
    ),
    chapter("02", "Neoplasms", [20.0, 4.0, 0.0, 0.0], 1.5, &["C44", "C50", "C61", "D12", "C34"]),
    chapter(
        "03",
        "Diseases of the blood and blood-forming organs and certain disorders involving the immune mechanism",
        [4.0, 1.5, 0.0, 0.0],
        0.8,
        &["D50", "D64", "D70"],
    ),
    chapter(
        "04",
        "Endocrine, nutritional and metabolic diseases",
        [2.0, 3.5, 0.0, 0.5],
        1.0,
        &["E11", "E10", "E87"],
    ),
    chapter(
        "05",
        "Mental and behavioural disorders",
        [0.3, 2.5, 0.0, 90.0],
        1.2,
        &["F20", "F32", "F31", "F10", "F60"],
    ),
    chapter(
        "06",
        "Diseases of the nervous system",
        [4.0, 3.5, 0.0, 6.0],
        1.2,
        &["G40", "G56", "G30", "G43"],
    ),
    chapter(
        "07",
        "Diseases of the eye and adnexa",
        [12.0, 0.5, 0.0, 0.0],
        0.4,
        &["H25", "H26", "H35"],
    ),
    chapter(
        "08",
        "Diseases of the ear and mastoid process",
        [1.2, 0.6, 0.0, 0.0],
        0.5,
        &["H65", "H66", "H81"],
    ),
    chapter(
        "09",
        "Diseases of the circulatory system",
        [6.0, 13.0, 0.0, 0.0],
        1.4,
        &["I50", "I21", "I48", "I63", "I25"],
    ),
    chapter(
        "10",
        "Diseases of the respiratory system",
        [3.0, 15.0, 0.0, 0.0],
        1.2,
        &["J18", "J44", "J22", "J35", "J45"],
    ),
    chapter(
        "11",
        "Diseases of the digestive system",
        [17.0, 9.5, 0.0, 0.0],
        0.8,
        &["K40", "K80", "K29", "K57", "K02"],
    ),
    chapter(
        "12",
        "Diseases of the skin and subcutaneous tissue",
        [2.5, 3.0, 0.0, 0.0],
        0.9,
        &["L03", "L40", "L72"],
    ),
    chapter(
        "13",
        "Diseases of the musculoskeletal system and connective tissue",
        [14.0, 4.0, 0.0, 0.0],
        0.9,
        &["M17", "M16", "M54", "M23"],
    ),
    chapter(
        "14",
        "Diseases of the genitourinary system",
        [9.0, 7.5, 0.0, 0.0],
        0.8,
        &["N39", "N20", "N18", "N40"],
    ),
    chapter(
        "15",
        "Pregnancy, childbirth and the puerperium",
        [0.0, 0.2, 92.0, 0.0],
        1.0,
        &["O80", "O82", "O70", "O42"],
    ),
    chapter(
        "16",
        "Certain conditions originating in the perinatal period",
        [0.0, 0.6, 2.0, 0.0],
        2.0,
        &["P07", "P59", "P22"],
    ),
    chapter(
        "17",
        "Congenital malformations, deformations and chromosomal abnormalities",
        [0.6, 0.1, 0.0, 0.0],
        1.4,
        &["Q21", "Q53", "Q65"],
    ),
    chapter(
        "18",
        "Symptoms, signs and abnormal clinical and laboratory findings",
        [4.0, 15.0, 2.0, 1.5],
        0.6,
        &["R07", "R10", "R55", "R69"],
    ),
    chapter(
        "19",
        "Injury, poisoning and certain other consequences of external causes",
        [2.0, 11.5, 0.0, 1.0],
        1.1,
        &["S72", "S06", "T39", "S52"],
    ),
    chapter(
        "20",
        "External causes of morbidity and mortality",
        [0.01, 0.03, 0.0, 0.0],
        1.0,
        &["W19", "X59"],
    ),
    chapter(
        "21",
        "Factors influencing health status and contact with health services",
        [6.0, 0.8, 4.0, 1.0],
        0.4,
        &["Z51", "Z30", "Z53"],
    ),
    chapter("22", "Codes for special purposes", [0.05, 1.2, 0.0, 0.0], 1.3, &["U07"]),
];

/// Rare conditions, each with one to nine people at an organisation: chapter and category.
pub(super) const RARE_CONDITIONS: [(&str, &str); 4] =
    [("04", "E84"), ("06", "G10"), ("06", "G12"), ("17", "Q87")];
