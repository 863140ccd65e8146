//! How a function starts.

use std::ffi::OsStr;

use wharfinger_tests::lambda::story::{configure, task, task_event, with_discovery};
use wharfinger_tests::lambda::{Authority, Lambda, Process};

use super::{PACKAGES, Rig, binaries, has};

#[test]
fn every_function_names_every_missing_variable_at_once_and_does_not_run() {
    assert_eq!(binaries().len(), PACKAGES.len(), "{:?}", binaries());
    for binary in binaries().values() {
        let lambda = Lambda::start(None).unwrap();
        let none = OsStr::new("");
        let variables = [
            ("WHARFINGER_CONFIG_TABLE", none),
            ("WHARFINGER_STATE_TABLE", none),
            ("WHARFINGER_OWNER", none),
            ("WHARFINGER_LOG", OsStr::new("loud")),
        ];
        let mut process = Process::start(binary, &lambda, &variables).unwrap();
        let status = process.ended().unwrap();
        assert!(!status.success(), "{}: {status}", binary.display());
        let named = |line: &str| variables.iter().all(|(name, _)| has(line, &[("error", name)]));
        process
            .line(|line| named(line) && has(line, &[("level", "ERROR"), ("message", "cannot start")]))
            .unwrap();
        assert_eq!(lambda.times_asked(), 0);
    }
}

#[test]
fn every_function_asks_for_an_event_and_has_a_connection_by_then() {
    for name in binaries().keys() {
        let rig = Rig::start(name);
        // One to the Runtime API and one to AWS, which is one host here.
        assert_eq!(rig.lambda.connections(), 2, "{name}");
    }
}

#[test]
fn the_connection_that_is_opened_before_the_first_event_is_the_one_that_it_uses() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::make().unwrap();
    let file = folder.path().join("authority.pem");
    authority.write(&file).unwrap();
    for authority in [None, Some(&authority)] {
        let rig = Rig::start_with(
            "discovery",
            Lambda::start(authority).unwrap(),
            &[("SSL_CERT_FILE", file.as_os_str())],
        );
        rig.lambda
            .world(|world| configure(world, "prod/web", &with_discovery()).unwrap());
        let opened = rig.lambda.connections();
        let joined = rig.done(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
        assert!(
            joined.calls[0].connection < opened,
            "{opened} were open: {:?}",
            joined.calls
        );
        assert_eq!(rig.instances(), ["t1-8080"]);
    }
}

#[test]
fn an_authority_that_is_not_known_is_not_trusted() {
    let authority = Authority::make().unwrap();
    let rig = Rig::start_with("discovery", Lambda::start(Some(&authority)).unwrap(), &[]);
    let (kind, message) = rig.failed(&task_event(&task("web", "t1", 3, "RUNNING", "RUNNING")));
    assert_eq!(kind, "Cloud", "{message}");
    assert!(
        message.contains("certificate") || message.contains("UnknownIssuer"),
        "{message}"
    );
}
