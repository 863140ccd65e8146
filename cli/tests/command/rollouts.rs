//! `approve` and `rollback`, as far as they go without anything that is configured.

use crate::aws::Aws;
use crate::folder::Folder;

#[test]
fn what_is_not_configured_is_told_and_nothing_is_written_or_invoked() {
    let (folder, aws) = (Folder::new(), Aws::start(&[("DeliveryFunctionName", "d")]));
    for command in ["approve", "rollback"] {
        let ran = aws.run(&folder, &[command, "prod/web"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("prod/web is not configured"), "{ran:?}");
        let asked: Vec<_> = aws.asked().into_iter().map(|(operation, _)| operation).collect();
        assert!(asked.contains(&"Query".to_owned()), "{asked:?}");
        let acts = |operation: &String| operation == "TransactWriteItems" || operation.starts_with("Invoke");
        assert!(!asked.iter().any(acts), "{asked:?}");
    }
}

#[test]
fn what_names_no_image_and_no_revision_is_a_wrong_usage() {
    let folder = Folder::new();
    for (args, told) in [
        (
            ["approve", "prod/web", "--digest", "abc"],
            "write `sha256:…`, or 12 to 64",
        ),
        (["approve", "prod/web", "--for", "soon"], "is not a duration"),
        (["rollback", "prod/web", "--to", "web"], "write a revision, like `41`"),
    ] {
        let ran = folder.run(&args);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(told), "{ran:?}");
    }
}
