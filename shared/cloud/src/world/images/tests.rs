use futures_util::FutureExt;
use wharfinger_core::delivery::{Child, Counts, ImageState, Pullable};

use super::*;
use crate::images::{manifest, scans};

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn world() -> World {
    World::new("2026-03-06T08:00:00Z".parse().unwrap())
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

#[test]
fn an_image_is_there_from_its_push_to_its_end() {
    let mut world = world();
    world.push("shop/web", "main", &digest('a'));
    let world = world.shared();
    let caller = Caller::direct(&world, "test");
    let pullable = || at_once(caller.image("shop/web", &digest('a'))).unwrap().pullable;
    assert_eq!(
        at_once(caller.image("shop/web", &digest('b'))),
        Ok(ImageState::absent())
    );
    assert_eq!(pullable(), Pullable::Yes);
    for status in [Pullable::Archived, Pullable::Yes, Pullable::Absent] {
        world
            .borrow_mut()
            .repositories
            .set_pullable("shop/web", &digest('a'), status);
        assert_eq!(pullable(), status);
    }
    assert_eq!(world.borrow().repositories.digest("shop/web", "main"), None);
    assert_eq!(at_once(caller.manifest("shop/web", &digest('a'))), Ok(None));
}

#[test]
fn an_index_is_scanned_by_its_images_and_the_end_is_told() {
    let mut world = world();
    let children = ['b', 'c'].map(|letter| Child {
        digest: digest(letter),
        platform: None,
    });
    world.push("shop/web", "main", &digest('a'));
    world
        .repositories
        .keep("shop/web", &digest('a'), Manifest::Index(children.to_vec()));
    let scan = |letter, status| ImageScan {
        status: Some(status),
        counts: Counts::parse(&json!({ "LOW": 1 })),
        ..ImageScan::none(digest(letter))
    };
    world.scanned("shop/web", scan('b', ScanStatus::InProgress));
    world.scanned("shop/web", scan('b', ScanStatus::Complete));
    let told: Vec<_> = world.emitted.iter().map(|event| event["detail-type"].clone()).collect();
    assert_eq!(told, ["ECR Image Action", "ECR Image Scan"]);
    assert_eq!(world.emitted[1]["detail"]["scan-status"], "COMPLETE");
    let world = world.shared();
    let caller = Caller::direct(&world, "test");
    let report = |letter| {
        let digest = digest(letter);
        let manifest = at_once(manifest(&caller, "shop/web", &digest)).unwrap();
        at_once(scans(&caller, "shop/web", &digest, manifest.as_ref())).unwrap()
    };
    assert_eq!(
        report('a').images,
        [scan('b', ScanStatus::Complete), ImageScan::none(digest('c'))]
    );
    assert_eq!(report('f').images, []);
}

#[test]
fn the_platform_of_a_single_image_is_in_its_configuration() {
    let mut world = world();
    let kept = |platform| Manifest::Image {
        platform,
        configuration: Some(digest('c')),
    };
    world.push("shop/web", "main", &digest('a'));
    world.repositories.keep("shop/web", &digest('a'), kept(None));
    let world = world.shared();
    let caller = Caller::direct(&world, "test");
    let look = || at_once(manifest(&caller, "shop/web", &digest('a')));
    assert_eq!(look(), Ok(Some(kept(None))));
    let platform = Platform {
        os: "linux".into(),
        architecture: "arm64".into(),
    };
    world
        .borrow_mut()
        .repositories
        .configurations
        .insert(digest('c'), platform.clone());
    assert_eq!(look(), Ok(Some(kept(Some(platform)))));
}
