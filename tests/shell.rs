//! The shell, driven through a pseudo-terminal as somebody would at a keyboard. It takes Python, for its `pty`; where
//! there is none, these tests say so and pass.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::command::TestEnv;
use crate::support::lake::{data, lake_of};

/// While somebody types it is drawn again and again, but not at the start of a line.
const PROMPT: &str = "\ntrailhouse> ";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_R: &str = "\x12";
const TAB: &str = "\t";
const UP: &str = "\x1b[A";

/// Types each second text once the first is shown; returns all that was shown. None where there is no Python.
fn typed(env: &TestEnv, args: &[&str], steps: &[(&str, &str)]) -> Option<String> {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        println!("skipped: there is no python3");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/terminal.py");
    let mut all = vec![script, "120", "30", env!("CARGO_BIN_EXE_trailhouse"), "sql"];
    all.extend(args);
    let mut command = env.other_command("python3", all);
    command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(steps).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ended: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = ended["shown"].as_str().unwrap().to_owned();
    assert_eq!(ended["code"], 0, "{shown}");
    Some(shown)
}

fn sample() -> TestEnv {
    let mut env = lake_of(&data("sample"));
    env.set("HOME", env.path("home"));
    env.set("PAGER", "");
    env
}

#[test]
fn a_statement_of_several_lines_is_typed_and_answered() {
    let env = sample();
    let steps = [
        ("258 events in", ""),
        (PROMPT, "SELECT 'a;b' AS x, -- no; end\r"),
        ("", "count(*) AS n FROM events\r"),
        ("", ";\r"),
        ("│ a;b │ 258 │", "SELECT 7 AS one; SELECT 8 AS two;\r"),
        ("│ two │", "\\q\r"),
    ];
    let Some(shown) = typed(&env, &["lake"], &steps) else { return };
    assert!(shown.contains("│   7 │") && shown.contains("│   8 │"), "{shown}");
    assert!(shown.contains("Time: "), "{shown}");
}

#[test]
fn tab_completes_names_and_values() {
    let env = sample();
    let steps = [
        (PROMPT, "SELECT event_na"),
        ("event_na", TAB),
        ("event_name", ", coun"),
        (", coun", TAB),
        ("count(", "*) FROM ev"),
        ("FROM ev", TAB),
        ("events", " WHERE event_name = 'Conso"),
        // From the dictionary of a data file: nothing was typed or shown that has it.
        ("'Conso", TAB),
        ("'ConsoleLogin'", " GROUP BY 1;\r"),
        ("│ ConsoleLogin │        5 │", "SELECT DISTINCT account FROM events WHERE account LIKE '0123"),
        ("'0123", TAB),
        ("'012345678901'", ";\r"),
        ("1 row", "\\ti"),
        ("\\ti", TAB),
        ("\\timing", "\r"),
        ("Timing is off", ""),
        (PROMPT, CTRL_D),
    ];
    typed(&env, &["lake"], &steps);
}

#[test]
fn ctrl_c_cancels_the_query_and_never_the_shell() {
    let env = sample();
    let endless = "SELECT sum(a.value * b.value) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b;\r";
    let steps = [
        (PROMPT, "SELECT typed and dropped"),
        ("dropped", CTRL_C),
        (PROMPT, endless),
        // What the bar says, once a second has passed.
        ("running", CTRL_C),
        ("Cancelled", ""),
        // Neither between two statements nor a second time.
        (PROMPT, CTRL_C),
        (PROMPT, endless),
        ("running", CTRL_C),
        ("Cancelled", "SELECT 'still ' || 'here';\r"),
        ("still here", "quit\r"),
    ];
    typed(&env, &["lake"], &steps);
}

#[test]
fn history_lasts_from_session_to_session() {
    let env = sample();
    let first = [
        (PROMPT, "SELECT 40 + 2 AS answer,\r"),
        ("answer,", "'it' AS what;\r"),
        ("│     42 │ it   │", " SELECT 'not kept' AS a;\r"),
        ("│ not kept │", ""),
        (PROMPT, CTRL_D),
    ];
    if typed(&env, &["lake"], &first).is_none() {
        return;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let history = std::fs::metadata(env.path("home/.local/state/trailhouse/history")).unwrap();
        assert_eq!(history.permissions().mode() & 0o777, 0o600);
    }
    // The statement comes back whole, both its lines, by going up and by searching.
    let second = [
        (PROMPT, UP),
        ("what;", "\r"),
        ("│     42 │ it   │", "SELECT 1 AS other;\r"),
        ("│ other │", ""),
        (PROMPT, CTRL_R),
        ("reverse-i-search", "ANSWER"),
        ("what;", "\r"),
        ("│     42 │ it   │", ""),
        (PROMPT, CTRL_D),
    ];
    typed(&env, &["lake"], &second);
}

#[test]
fn long_results_go_to_the_pager_and_short_ones_do_not() {
    let mut env = sample();
    env.set("PAGER", "cat > paged; echo left the pager");
    let steps = [
        (PROMPT, "SELECT 1 AS short;\r"),
        ("1 row", "SELECT value FROM generate_series(1, 100);\r"),
        ("left the pager", "\\pager\r"),
        ("Pager is off", "SELECT value FROM generate_series(1, 100);\r"),
        ("100 rows", ""),
        (PROMPT, CTRL_D),
    ];
    let Some(shown) = typed(&env, &["lake"], &steps) else { return };
    assert_eq!(shown.matches("left the pager").count(), 1, "{shown}");
    let paged = std::fs::read_to_string(env.path("paged")).unwrap();
    assert!(paged.contains("│   100 │") && paged.ends_with("100 rows\n"), "{paged}");
}

#[test]
fn commands_change_how_rows_are_written() {
    let env = sample();
    std::fs::create_dir_all(env.path("home/.config/trailhouse")).unwrap();
    let rc = "-- mine\n\\timing off\nCREATE VIEW logins AS SELECT * FROM events WHERE event_name = 'ConsoleLogin';\n";
    std::fs::write(env.path("home/.config/trailhouse/rc.sql"), rc).unwrap();
    std::fs::write(env.path("two.sql"), "SELECT 'from a file' AS a;\nSELECT event_tiem FROM events;\n")
        .unwrap();
    let steps = [
        (PROMPT, "\\d\r"),
        ("│ logins ", "\\d events\r"),
        ("user_identity_arn", "\\x\r"),
        ("One field a line is on", "SELECT request_parameters FROM events WHERE event_name = 'ListKeys';\r"),
        ("─ row 1 ─", "\\x off\r"),
        ("off", "\\format csv\r"),
        (PROMPT, "\\o out.csv\r"),
        (PROMPT, "SELECT count(*) AS n FROM logins;\r"),
        (PROMPT, "\\o\r"),
        (PROMPT, "SELECT 'on screen' AS b;\r"),
        ("\non screen\n", "\\i two.sql\r"),
        ("did you mean event_time?", "\\set day '2026-03-02'\r"),
        (PROMPT, "SELECT count(*) AS n FROM events WHERE event_date = $day;\r"),
        ("\n86\n", "\\stats\r"),
        ("left out before the query began", "\\df json_get_s\r"),
        ("json_get_str", "\\nope\r"),
        ("there is no command \\nope", "\\h\r"),
        ("Ctrl-D does, too", "\\q\r"),
    ];
    let Some(shown) = typed(&env, &["lake"], &steps) else { return };
    assert!(!shown.contains("Time: "), "{shown}");
    assert!(
        shown.contains("--> two.sql\n  |\n2 | SELECT event_tiem FROM events\n  |        ^^^^^^^^^^\n"),
        "{shown}"
    );
    assert_eq!(std::fs::read_to_string(env.path("out.csv")).unwrap(), "n\n5\n");
}

#[test]
fn without_a_lake_there_are_files() {
    let env = TestEnv::new();
    std::fs::write(env.path("teams.csv"), "account,team\n001234567890,blue\n").unwrap();
    let steps = [
        ("no lake", ""),
        (PROMPT, "SELECT * FROM 'team"),
        ("'team", TAB),
        ("teams.csv", "';\r"),
        ("│ 001234567890 │ blue │", ""),
        (PROMPT, "\\attach teams=teams.csv\r"),
        (PROMPT, "SELECT team FROM tea"),
        ("FROM tea", TAB),
        ("teams", ";\r"),
        ("│ blue │", ""),
        (PROMPT, CTRL_D),
    ];
    typed(&env, &[], &steps);
}
