//! Joins, and subqueries that ask whether something exists: of the same person, and no row twice.

use super::{BENIGN, assert_none, refused, world};

#[tokio::test]
async fn rows_are_not_multiplied() {
    let world = world().await;
    let twin = "SELECT p.sex AS k0, sum(a.hours) AS m0 FROM spell a CROSS JOIN person p WHERE p.person_number = a.person_number GROUP BY p.sex";
    let attacks = [
        "S5: SELECT sum(a.hours) AS m0 FROM spell a CROSS JOIN person p CROSS JOIN spell b WHERE p.person_number = a.person_number AND b.person_number = p.person_number",
        "S5: SELECT count(*) AS m0 FROM spell a LEFT JOIN person p ON p.person_number = a.person_number LEFT JOIN spell b ON b.person_number = p.person_number",
        "S5: SELECT count(*) AS m0 FROM person p CROSS JOIN spell a CROSS JOIN spell b WHERE p.person_number = a.person_number AND b.person_number = p.person_number",
        "S5: SELECT count(*) AS m0 FROM spell a CROSS JOIN spell b WHERE a.person_number = b.person_number",
        "S5|S4: SELECT count(*) AS m0 FROM spell a CROSS JOIN spell b WHERE a.consultant = b.consultant",
        "S5: SELECT count(*) AS m0 FROM spell a CROSS JOIN obs o WHERE o.code = a.chapter",
        "S5: SELECT count(*) AS m0 FROM chapter c LEFT JOIN spell s ON c.code = s.chapter",
        "S5|S4|S9: SELECT count(*) AS m0 FROM spell a CROSS JOIN ward_book w WHERE w.label = a.person_number",
    ];
    let twins = [
        twin,
        "SELECT count(*) AS m0 FROM spell a CROSS JOIN spell b WHERE a.spell_number = b.spell_number",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

/// EXISTS, IN and NOT EXISTS ask whether the same person is somewhere, and nothing else.
#[tokio::test]
async fn existence_is_of_the_same_person() {
    let world = world().await;
    let attacks = [
        "S4|S5: SELECT count(*) AS m0 FROM spell a LEFT SEMI JOIN spell b ON a.consultant = b.consultant",
        "S4|S5: SELECT count(*) AS m0 FROM spell a LEFT ANTI JOIN spell b ON a.consultant = b.consultant",
        "S5: SELECT count(*) AS m0 FROM spell a LEFT SEMI JOIN person p ON TRUE",
        "S5: SELECT count(*) AS m0 FROM spell a LEFT ANTI JOIN person p ON p.sex = 'x'",
        "S5: SELECT count(*) AS m0 FROM spell a LEFT SEMI JOIN person p ON a.person_number <> p.person_number",
        "S5: SELECT count(*) AS m0 FROM spell a LEFT SEMI JOIN person p ON a.person_number = p.person_number OR TRUE",
        "S5: SELECT count(*) AS m0 FROM chapter c LEFT SEMI JOIN spell s ON c.code = s.chapter",
        "S5: SELECT count(*) AS m0 FROM chapter c LEFT ANTI JOIN spell s ON c.code = s.chapter",
        "S4: SELECT count(*) AS m0 FROM spell s LEFT SEMI JOIN obs o ON o.id = s.person_number",
        "S4: SELECT count(*) AS m0 FROM spell s LEFT SEMI JOIN person p ON p.person_number = s.person_number AND p.person_number = 3",
        "S4: SELECT count(*) AS m0 FROM spell s LEFT ANTI JOIN person p ON p.person_number = s.person_number AND s.spell_number = 3",
        "S5: SELECT count(*) AS m0 FROM spell WHERE person_number NOT IN (SELECT person_number FROM person)",
        "S6: SELECT count(*) AS m0 FROM spell s LEFT SEMI JOIN (SELECT chapter, count(*) AS n FROM spell GROUP BY chapter) AS d ON d.chapter = s.chapter AND d.n = 3",
        "S2: SELECT n AS k0, count(*) AS m0 FROM (SELECT person_number, count(*) AS n FROM spell GROUP BY person_number) AS d GROUP BY n",
        "S1: SELECT s.chapter AS c0 FROM spell s LEFT SEMI JOIN person p ON p.person_number = s.person_number",
    ];
    let twins = [
        BENIGN,
        "SELECT chapter AS k0, count(*) AS m0 FROM spell s LEFT SEMI JOIN person p ON p.person_number = s.person_number AND p.sex = 'f' GROUP BY chapter",
        "SELECT count(*) AS m0 FROM person p LEFT ANTI JOIN spell s ON p.person_number = s.person_number AND s.hours > 5000",
        "SELECT count(*) AS m0 FROM spell s LEFT SEMI JOIN chapter c ON c.code = s.chapter",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}
