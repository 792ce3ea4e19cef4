//! `nightshelf forget`: removes a reader from everything that nightshelf keeps.

use std::path::Path;

use serde_json::json;

use super::Outcome;
use crate::catalog::ids::{UserId, UserRef};
use crate::cli::Forget;
use crate::console::Console;
use crate::context::Context;
use crate::database::lock::Lock;
use crate::database::{erase, readers, scrub, source};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::model_store::{self, StoredModel};
use crate::text::{count, plain};

/// Removes the reader's rows and digest from both sets, the factors from both models, and examples of
/// rejected rows. An integer id and a text id that are spelled alike are both removed.
///
/// Can be repeated, and then finishes what was cut off.
///
/// # Errors
/// [`Kind::NoInput`] if nothing is kept of such a reader.
pub fn forget(context: Context<'_>, args: &Forget) -> Result<Outcome> {
    let (console, word) = (context.console, &args.user.user);
    let mut database = context.open(&args.target.db)?;
    let _lock = Lock::take(&database)?;
    let (mut rows, mut models, mut ratings) = (0, 0, Some(0));
    for id in UserId::readings(word) {
        rows += erase::forget(&mut database, id.borrow())?;
        failpoint::reach("forget.rows");
        models += forget_in_models(&database.folder(), id.borrow(), console)?;
        let left = source::read_reader(&database, context.config, id.borrow()).map(|reading| reading.rows);
        match left {
            Ok(left) => ratings = ratings.map(|ratings| ratings + left),
            // The right to be forgotten does not wait until a table is repaired.
            Err(error) => {
                console.warn(format!(
                    "whether the application still has ratings of this reader is unknown: {error}"
                ));
                ratings = None;
            }
        }
    }
    // Pages freed by earlier nights still hold their sets. They are cleared even if nothing was found: an
    // earlier attempt may have been cut off here.
    scrub::scrub(&mut database)?;
    let truncated = database.truncate_log()?;
    if rows + models == 0 && ratings == Some(0) {
        let error = Error::new(Kind::NoInput, format!("nothing is kept of a reader {word:?}"));
        return Err(error.hint("give the user_id as it stands in the ratings table"));
    }
    console.say(format!(
        "forget     {} rows and examples, and factors in {models} models, are gone",
        count(rows)
    ));
    if let Some(ratings @ 1..) = ratings {
        console.warn(format!(
            "the ratings table still has {} ratings of this reader: delete them, or the next run takes \
             them up again",
            count(ratings)
        ));
    }
    let in_table = readers::read(&database, context.config).map(|table| table.has(&UserId::readings(word)));
    let table = plain(&context.config.source.readers);
    match &in_table {
        Ok(false) => {}
        Ok(true) => console.warn(format!(
            "the table {table} of readers still has this one: delete the row, or the next run makes a list for it again"
        )),
        Err(error) => {
            console.warn(format!("whether the table {table} still has this reader is unknown: {error}"));
        }
    }
    if truncated == Some(false) {
        console.warn(
            "somebody keeps the database open in the middle of a read, so its write-ahead log (-wal) could not be \
             emptied and still holds what was deleted: give the same command again once that has ended",
        );
    }
    let json = json!({
        "rows": rows,
        "models": models,
        "ratings_left": ratings,
        "in_readers_table": in_table.ok(),
        "log_truncated": truncated,
    });
    Ok(json.into())
}

/// Removes the reader from the models, and returns how many models had the reader.
fn forget_in_models(folder: &Path, user: UserRef<'_>, console: &Console) -> Result<usize> {
    let mut found = 0;
    for (path, run) in model_store::models(folder) {
        // A half-written model, or one that can no longer be read, may hold anybody.
        let model = match run.map(|run| StoredModel::read(folder, run, None)) {
            Some(Ok(model)) => model,
            unusable => {
                if let Some(Err(error)) = unusable {
                    console.warn(format!("{error}; it is removed, since nobody can tell who is in it"));
                }
                std::fs::remove_dir_all(&path).map_err(|error| Error::file(&error, "remove", &path))?;
                continue;
            }
        };
        let code = model.readers.users.codes().get(&user).copied();
        if let Some(code) = code {
            model.without(code)?.write(folder)?;
            found += 1;
        }
    }
    Ok(found)
}
