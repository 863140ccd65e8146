//! What goes, and what stays though no line of `keep` counts it.

use super::*;

fn keep_last(last: u32) -> Value {
    json!({ "storage": [{ "volume": "data", "snapshot": { "every": "1h", "keep": { "last": last } } }] })
}

fn ids(world: &Shared) -> Vec<String> {
    snapshots(world)
        .into_iter()
        .map(|snapshot| snapshot.snapshot_id)
        .collect()
}

#[test]
fn no_more_are_kept_than_are_to_be() {
    let world = world(keep_last(2));
    play(&world, 6 * 60, true);
    let (all, left) = (made(&world), ids(&world));
    assert!(all.len() >= 6, "{}", all.len());
    let newest: Vec<_> = all.iter().rev().take(2).rev().map(|s| s.snapshot_id.clone()).collect();
    assert_eq!(left, newest);
    assert!(has_said(&world, Code::SnapshotPruned));
}

#[test]
fn what_a_deployment_names_and_what_is_shared_stays() {
    let world = world(keep_last(1));
    play(&world, 130, true);
    // The first three hours had two: the older is gone by now.
    let (named, shared) = {
        play(&world, 60, true);
        let named = ids(&world).last().unwrap().clone();
        let volume = json!({ "name": "data", "managedEBSVolume": { "sizeInGiB": 20, "snapshotId": named } });
        world.borrow_mut().configure_volumes(&target(), &[volume]);
        play(&world, 60, true);
        let shared = ids(&world).last().unwrap().clone();
        let mut world = world.borrow_mut();
        let shot = world.ebs.snapshots.get_mut(&shared).unwrap();
        shot.shared_with.push("444455556666".to_owned());
        (named, shared)
    };
    play(&world, 180, true);
    let left = ids(&world);
    assert!(left.contains(&named) && left.contains(&shared), "{left:?}");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(has_said(&world, Code::SnapshotHeld));
    // Nothing holds them any more, and what was found is looked up again after an hour.
    let volume = json!({ "name": "data", "managedEBSVolume": { "sizeInGiB": 20 } });
    world.borrow_mut().configure_volumes(&target(), &[volume]);
    for shot in world.borrow_mut().ebs.snapshots.values_mut() {
        shot.shared_with.clear();
    }
    play(&world, 130, true);
    assert_eq!(ids(&world).len(), 1);
}

#[test]
fn what_an_image_is_made_of_stays() {
    let world = world(keep_last(1));
    play(&world, 5, true);
    let first = ids(&world)[0].clone();
    world.borrow_mut().ebs.snapshots.get_mut(&first).unwrap().in_use = true;
    play(&world, 70, true);
    assert!(ids(&world).contains(&first));
    world.borrow_mut().ebs.snapshots.get_mut(&first).unwrap().in_use = false;
    play(&world, 70, true);
    assert!(!ids(&world).contains(&first));
}

#[test]
fn what_others_made_stays() {
    let world = world(keep_last(1));
    play(&world, 5, true);
    let mut foreign = world.borrow().ebs.snapshots.values().next().unwrap().clone();
    foreign.snapshot.snapshot_id = "snap-foreign".to_owned();
    foreign
        .snapshot
        .tags
        .insert("wharfinger:owner".to_owned(), "another".to_owned());
    world
        .borrow_mut()
        .ebs
        .snapshots
        .insert("snap-foreign".to_owned(), foreign);
    play(&world, 180, true);
    let left = ids(&world);
    assert_eq!(left.len(), 2);
    assert!(left.contains(&"snap-foreign".to_owned()));
}

#[test]
fn years_of_them_go_minute_by_minute() {
    let world = world(keep_last(2));
    play(&world, 5, true);
    {
        let mut world = world.borrow_mut();
        let first = world.ebs.snapshots.values().next().unwrap().clone();
        for n in 0..120 {
            let mut old = first.clone();
            old.snapshot.snapshot_id = format!("snap-{n:03}");
            old.snapshot.start_time -= SignedDuration::from_hours(n + 1);
            world.ebs.snapshots.insert(old.snapshot.snapshot_id.clone(), old);
        }
    }
    sweep(&world, &json!({}));
    assert_eq!(ids(&world).len(), 121 - 50);
    play(&world, 5, true);
    assert_eq!(ids(&world).len(), 2);
}
