//! `nightshelf doctor`: shows what is wrong or missing, and how to fix it.

use serde_json::json;

use super::Outcome;
use crate::cli::Doctor;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::pipeline::diagnosis::{self, Finding, Severity};
use crate::text::plain;

/// Shows all findings; a problem makes the outcome a failure.
pub fn doctor(context: Context<'_>, args: &Doctor) -> Result<Outcome> {
    let console = context.console;
    let findings = diagnosis::examine(context, args.db.as_deref())?;
    let width = findings.iter().map(|finding| finding.topic.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { severity, topic, found, fix } in &findings {
        let word = format!("{:8}", severity.to_string());
        let word = if *severity == Severity::Good { word } else { console.heading(&word) };
        text.push_str(&format!("{word} {topic:width$}  {}\n", plain(found)));
        if let Some(fix) = fix {
            text.push_str(&format!("{:9}{:width$}  what to do: {}\n", "", "", plain(fix)));
        }
    }
    let problems = findings.iter().filter(|finding| finding.severity == Severity::Bad).count();
    let failure = (problems > 0).then(|| {
        let what = if problems == 1 { "one problem".to_owned() } else { format!("{problems} problems") };
        Error::new(Kind::Failed, format!("{what} found, see above"))
    });
    let json = json!({ "ok": problems == 0, "findings": findings });
    Ok(Outcome { text, json, failure })
}
