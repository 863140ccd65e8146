//! A volume of a task that is over: it goes once a snapshot has what is on it.

use jiff::{SignedDuration, Timestamp};

use crate::report::{Code, Outcome};
use crate::storage::due::{Look, Turn};
use crate::storage::{Action, Intent, RecoveryPoint, Snapshot, SnapshotState, Volume, VolumeMemory};

/// How long after a snapshot that came to nothing the next is tried.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// Decides on a volume that is left.
pub(super) fn save(look: &Look<'_>, volume: &Volume, memory: &mut VolumeMemory) -> Turn {
    let id = &volume.volume_id;
    let known = memory.identity.get_or_insert_default();
    (known.found, known.begun, known.bare) = (true, true, None);
    known.volume.get_or_insert_with(|| id.clone());
    if !volume.is_available() {
        let (code, then) = if volume.state == "error" {
            let then = "EC2 makes no snapshot of it: look at it there, and remove it once nothing on it is wanted";
            (Code::IdentityStuck, then)
        } else {
            (Code::IdentityWaits, "it is waited for")
        };
        let message = format!("{}: {id} is {}: {then}", look.lineage, volume.state);
        return Turn::new(Outcome::Wait, code, message).again(look.soon());
    }
    let finals = finals(look, volume);
    let Some(done) = finals.iter().find(|snapshot| snapshot.is_completed()) else {
        return pending(look, memory, id, &finals).unwrap_or_else(|| due(look, memory, id));
    };
    // Of several that are left the newest counts, whenever its snapshot was made.
    if known.saved_of.is_none_or(|of| of <= volume.create_time) {
        (known.saved, known.saved_of) = (Some(RecoveryPoint::from(*done)), Some(volume.create_time));
    }
    let message = format!(
        "{}: {id} is in {} of {}: the volume goes",
        look.lineage, done.snapshot_id, done.start_time
    );
    let mut turn = Turn::new(Outcome::Act, Code::VolumeSaved, message).again(look.soon());
    turn.calls.push(Action::DeleteVolume {
        lineage: look.lineage.clone(),
        volume_id: id.clone(),
        ours: volume.is_of(&look.facts.owner),
    });
    turn
}

/// The snapshots that were made of a volume once its task was over. A mark that someone copied proves nothing, so what is
/// known of times has to agree, by the clocks of EC2 and ECS.
fn finals<'a>(look: &Look<'a>, volume: &Volume) -> Vec<&'a Snapshot> {
    let id = &volume.volume_id;
    let tasks = look
        .facts
        .tasks
        .as_ref()
        .into_option()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter();
    let its = tasks.filter(|task| task.volumes.iter().any(|one| one.volume_id == *id));
    let ends = its.filter_map(|task| task.stopped_at);
    let since = ends.fold(volume.create_time, Timestamp::max);
    let is_its =
        |snapshot: &&&Snapshot| snapshot.volume_id == *id && snapshot.is_final() && snapshot.start_time >= since;
    look.snapshots.iter().filter(is_its).copied().collect()
}

/// What is waited for before the next snapshot of it is made.
fn pending(look: &Look<'_>, memory: &VolumeMemory, id: &str, finals: &[&Snapshot]) -> Option<Turn> {
    let wait = |code, message: String| Some(Turn::new(Outcome::Wait, code, message).again(look.soon()));
    if let Some(intent) = &memory.intent
        && look.answer(intent).is_none()
    {
        let message = format!(
            "{}: a snapshot of {} was asked for at {}: EC2 may not show it yet",
            look.lineage, intent.volume_id, intent.at
        );
        return wait(Code::SnapshotPending, message);
    }
    if let Some(pending) = finals.iter().find(|s| s.state == SnapshotState::Pending) {
        let message = format!(
            "{}: the data of {id} is still copied to {}",
            look.lineage, pending.snapshot_id
        );
        return wait(Code::SnapshotPending, message);
    }
    let failed = finals.iter().find(|s| s.state == SnapshotState::Error)?;
    if look.age(failed.start_time) >= RETRY_AFTER {
        return None;
    }
    let message = format!(
        "{}: {} of {id} failed: the next is tried after {RETRY_AFTER:#}",
        look.lineage, failed.snapshot_id
    );
    wait(Code::SnapshotFailed, message)
}

fn due(look: &Look<'_>, memory: &VolumeMemory, id: &str) -> Turn {
    let task = memory.identity.as_ref().and_then(|known| known.task.as_ref());
    let message = format!(
        "{}: the task of {id} is over, and no snapshot was made of it since",
        look.lineage
    );
    let mut turn = Turn::new(Outcome::Act, Code::SnapshotDue, message).again(look.soon());
    turn.intent = Some(Intent {
        volume_id: id.to_owned(),
        task: task.map_or("unknown", |task| task.id()).to_owned(),
        at: look.now,
        snapshot: None,
        is_final: true,
    });
    turn
}
