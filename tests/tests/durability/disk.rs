//! A failing disk: failures are reported, and work continues once the disk works again.

use nexo_pairing_tests::{Fault, Gate, Home, Output, Shim, message, rounds, wait_for};
use rustix::io::Errno;
use serde_json::Value;

use crate::story::{STEPS, State, States, Story, is_sound, reference};

/// The failures, and their messages.
fn faults() -> [(Fault, &'static str); 6] {
    let (io, full) = (Errno::IO.raw_os_error(), Errno::NOSPC.raw_os_error());
    [
        (Fault::Write(io), "disk I/O error"),
        (Fault::Write(full), "no space left"),
        (Fault::Torn(io), "disk I/O error"),
        (Fault::Torn(full), "no space left"),
        (Fault::Short, ""),
        (Fault::Sync(io), "disk I/O error"),
    ]
}

/// Runs the next command of a story and returns whether it was done; if not, it must say why.
fn go_on(story: &mut Story, home: &Home, shim: &Shim) -> Result<(), String> {
    let (args, input) = story.next();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = Output::of_with(shim.under(home.command(&args)), input).unwrap();
    if story.answered(&output) {
        return Ok(());
    }
    // A gate reports in its answer to a line, every other command on standard error.
    let error = match serde_json::from_str::<Value>(&output.stdout) {
        Ok(answer) => answer["error"].clone(),
        Err(_) => output.error(),
    };
    assert!(matches!(output.code, 1 | 3), "{args:?}: {output:?}");
    let kind = error["kind"].as_str().unwrap();
    assert!(matches!(kind, "storage" | "stale"), "{args:?}: {output:?}");
    let reply = error["message"].as_str().unwrap();
    assert!(reply.contains(home.database().to_str().unwrap()), "{args:?}: {reply}");
    Err(reply.to_owned())
}

/// Continues from the present state of the database.
fn settle(story: &mut Story, home: &Home, reference: &[State]) {
    story.settle(&States::read(home), reference);
    story.look_up(home);
}

#[test]
fn a_failing_disk_is_reported_and_used_again_once_it_works() {
    let reference = reference();
    for (number, (fault, name)) in faults().into_iter().enumerate() {
        let (home, shim) = (Home::new(), Shim::new());
        let mut gate = Gate::start(shim.under(home.command(&["gate", "--auto-challenge"])));
        let (mut asked, mut codes) = (0, Vec::new());
        // The gate challenges another stranger.
        let mut challenge = |gate: &mut Gate| {
            asked += 1;
            let answer = gate.send(&message("telegram", &format!("gate_{asked}"), "1")).remove(0);
            let code = answer["code"].as_str().map(str::to_owned);
            codes.extend(code.clone());
            code.ok_or(answer)
        };
        challenge(&mut gate).unwrap();
        let mut story = Story::new(format!("s{number}"));
        while story.done < STEPS {
            shim.set_fault(fault, 1);
            let said = go_on(&mut story, &home, &shim);
            let answered = challenge(&mut gate);
            shim.set_fault(Fault::None, 1);
            settle(&mut story, &home, &reference);
            if fault == Fault::Short {
                assert!(said.is_ok() && answered.is_ok(), "{said:?}, {answered:?}");
                continue;
            }
            let reply = said.expect_err("nothing can be written");
            assert!(reply.contains(name), "{fault:?}: {reply}");
            let answer = answered.unwrap_err();
            let kind = answer["error"]["kind"].as_str();
            assert!(matches!(kind, Some("storage" | "stale")), "{fault:?}: {answer}");
            // The gate that saw the failure continues, and so do the others.
            wait_for("the gate to go on", || challenge(&mut gate).ok());
            if story.done < STEPS {
                go_on(&mut story, &home, &shim).unwrap();
            }
        }
        settle(&mut story, &home, &reference);
        let _ = gate.end();
        let pending = home.sqlite("SELECT code FROM pairing_pending");
        let pending: Vec<&str> = pending.lines().collect();
        assert!(codes.iter().all(|code| pending.contains(&code.as_str())), "a code was lost");
        is_sound(&home);
    }
}

/// `NEXO_PAIRING_FAULTS` sets how many stories run on a disk that fails now and then.
#[test]
fn acknowledged_commands_survive_a_disk_that_fails_now_and_then() {
    let (home, shim, reference) = (Home::new(), Shim::new(), reference());
    home.json(&["seed", "telegram", "first", "1"]);
    let (mut done, mut failed, mut kept) = (0, 0, 0);
    let mut stories = Vec::new();
    for number in 0..rounds("NEXO_PAIRING_FAULTS", 24) {
        let (fault, _) = faults()[number as usize % faults().len()];
        let mut story = Story::new(format!("s{number}"));
        let one_in = 3 + 5 * number % 64;
        while story.done < STEPS {
            shim.set_fault(fault, one_in);
            let said = go_on(&mut story, &home, &shim);
            shim.set_fault(Fault::None, 1);
            if said.is_ok() {
                done += 1;
                continue;
            }
            let acknowledged = story.done;
            settle(&mut story, &home, &reference);
            failed += 1;
            kept += u32::from(story.done > acknowledged);
            if story.done < STEPS && story.done == acknowledged {
                go_on(&mut story, &home, &shim).unwrap();
            }
        }
        stories.push(story);
    }
    let states = States::read(&home);
    stories.iter_mut().for_each(|story| story.settle(&states, &reference));
    is_sound(&home);
    println!("{done} operations were acknowledged, {failed} failed, of which {kept} are done");
    assert!(done > 0 && failed > 0, "the attack had no effect");
}
