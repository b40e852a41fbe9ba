//! Completion scripts, manual pages and help.

use std::fs;

use tempfile::TempDir;

use super::node::output;

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let done = output(&["completions", shell]);
        assert!(done.status.success(), "{shell}");
        let script = String::from_utf8(done.stdout).unwrap();
        for word in ["advertise", "inspect", "no-leasing", "no-announce", "bootstrap", "capacity"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let directory = TempDir::new().unwrap();
    let into = directory.path().join("man");
    assert!(output(&["man", into.to_str().unwrap()]).status.success());
    let page = fs::read_to_string(into.join("rs2p-mesh.1")).unwrap();
    assert!(page.contains("listen") && page.contains("Exit status"), "{page}");
    let page = fs::read_to_string(into.join("rs2p-sync.1")).unwrap();
    assert!(page.contains("leasing") && page.contains("LEASE"), "{page}");
    let page = fs::read_to_string(into.join("rs2p-chord.1")).unwrap();
    assert!(page.contains("announce") && page.contains("explain KEY"), "{page}");
    let page = fs::read_to_string(into.join("rs2p-kad.1")).unwrap();
    assert!(page.contains("capacity") && page.contains("fetch MAGNET"), "{page}");
    let page = fs::read_to_string(into.join("rs2p-seed.1")).unwrap();
    assert!(page.contains("bootstrap network"), "{page}");
    assert!(into.join("rs2p.1").exists() && into.join("rs2p-inspect-frame.1").exists());
}

#[test]
fn help_goes_to_standard_output_with_status_0() {
    for args in [
        &["--help"][..],
        &["mesh", "--help"],
        &["sync", "--help"],
        &["chord", "--help"],
        &["seed", "--help"],
        &["kad", "--help"],
        &["inspect", "--help"],
        &["help", "mesh"],
    ] {
        let done = output(args);
        assert!(done.status.success() && done.stderr.is_empty(), "{args:?}");
        assert!(String::from_utf8(done.stdout).unwrap().contains("Examples:"), "{args:?}");
    }
}
