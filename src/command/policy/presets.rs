//! `hedgerow policy presets`: the sets of disclosure rules there are, and whose they are.

use std::io::{self, Write};

use clap::Args;
use hedgerow_policies::{Dominance, Preset};

use super::page::Page;
use crate::command::error::CommandError;
use crate::shell::ShellError;

/// List the presets a node may have: their rules, whose they are, and what they give up.
#[derive(Debug, Args)]
pub(super) struct Presets {}

impl Presets {
    /// Prints the page.
    pub(super) fn run(self) -> Result<(), CommandError> {
        Ok(write(&mut io::stdout().lock()).map_err(ShellError::Write)?)
    }
}

fn write(out: &mut dyn Write) -> io::Result<()> {
    let page = &mut Page::new(&mut *out);
    page.line(
        "Presets for `preset = \"…\"` under `[policy]`; a node may tighten each, never loosen it",
    )?;
    for preset in Preset::ALL {
        page.heading(preset.name)?;
        write_rules(page, &preset)?;
        page.entry("source", preset.source)?;
        page.entry("not protected", preset.gives_up)?;
    }
    out.flush()
}

/// The rules of a preset, as the configuration writes them.
fn write_rules(page: &mut Page<'_>, preset: &Preset) -> io::Result<()> {
    page.entry("k", &preset.k.to_string())?;
    if preset.complement {
        page.entry("complement", "true")?;
    }
    if let Some(share) = preset.p_percent {
        page.entry("p_percent", &format!("{share:.2}"))?;
    }
    if let Some(Dominance { n, share }) = preset.dominance {
        page.entry("dominance", &format!("{{ n = {n}, share = {share:.2} }}"))?;
    }
    match preset.round_to {
        Some(base) => page.entry("round_to", &base.to_string()),
        None => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_told_with_its_source() {
        let mut out = vec![];
        write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for preset in Preset::ALL {
            assert!(text.contains(&format!("\n{}\n", preset.name)), "{text}");
        }
        assert_eq!(text.matches("  source").count(), Preset::ALL.len());
        assert_eq!(text.matches("{ n = 2, share = 0.90 }\n").count(), 1, "{text}");
        assert_eq!(text.matches("  round_to              5\n").count(), 3, "{text}");
    }
}
