//! The Unix socket: the local agent, relays, and those who are neither (`docs/protocol.md` section 2).

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use inventory_sync_core::wire::{
    End, Mode, Reason, Start, Status, encode_data, encode_end, encode_start,
};
use inventory_tests::World;
use inventory_tests::agent::{TestAgent, item};
use inventory_tests::connection::{Connection, Endpoint, greet};
use inventory_tests::document::{PACKAGES, agent_info, packages};

/// Names the socket for [`child_of_another_user`].
const CHILD_SOCKET: &str = "INVENTORY_TEST_CHILD_SOCKET";

/// A user id that owns nothing.
const STRANGER: u32 = 65_533;

fn unix(path: &Path, agent: u64) -> Endpoint {
    Endpoint::Unix {
        path: path.to_owned(),
        agent,
    }
}

#[tokio::test]
async fn the_daemons_own_user_is_agent_0() {
    let world = World::new("local");
    let daemon = world.setup().start_ready().await;
    let socket = daemon.setup.socket();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "without relays nobody else needs it");
    let mut agent = TestAgent::new(unix(&socket, 0), 0, "syscollector", |_| {});
    let documents = packages(0..90, "1");
    agent.full(&[PACKAGES], &documents).await.all();
    world.check(&[PACKAGES], 0, &documents).await;
    // It is nobody else.
    assert!(greet(&unix(&socket, 1)).await.is_err());
}

#[tokio::test]
async fn a_relay_speaks_for_any_agent() {
    let world = World::new("relay");
    let own = nix::unistd::geteuid().as_raw();
    let setup = world.setup().with("router.relay_uids", own);
    let daemon = setup.start_ready().await;
    let mut relay = Connection::open(&unix(&daemon.setup.socket(), 0))
        .await
        .unwrap();
    let rows = packages(0..3, "1");
    let agents = [31, 32, 33];
    for agent in agents {
        let start = Start {
            mode: Some(Mode::Full),
            size: 3,
            module: "syscollector".to_owned(),
            agent_id: agent,
            protocol_version: 1,
            nonce: agent << 32 | 1,
            indices: vec![PACKAGES.to_owned()],
            agent: Some(agent_info(agent)),
            ..Start::default()
        };
        relay.speak_for(agent);
        relay.send(&encode_start(&start)).await;
        let (named, answer) = relay.answer_to().await;
        assert_eq!(named, Some(agent), "each answer says whom it is for");
        let inventory_sync_core::agent::Answer::StartAck(ack) = answer else {
            panic!("{answer:?}");
        };
        for (seq, row) in (0..).zip(&rows) {
            relay.send(&encode_data(ack.session, &item(seq, row))).await;
        }
        // Garbage of one agent ends nobody's connection.
        for _ in 0..10 {
            relay.send(b"garbage").await;
            assert_eq!(relay.end_ack().await.reason, Reason::InvalidMessage);
        }
        // What a frame says and what its message says must agree.
        relay.speak_for(agent + 100);
        relay.send(&encode_start(&start)).await;
        let refusal = relay.start_ack().await;
        assert_eq!(refusal.reason, Reason::IdentityMismatch);
        relay.speak_for(agent);
        let end = End {
            session: ack.session,
        };
        relay.send(&encode_end(&end)).await;
        assert_eq!(relay.end_ack().await.status, Status::Processing);
        let (named, verdict) = relay.answer_to().await;
        assert_eq!(named, Some(agent));
        let inventory_sync_core::agent::Answer::EndAck(verdict) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(verdict.status, Status::Ok, "{verdict:?}");
    }
    for agent in agents {
        world.check(&[PACKAGES], agent, &rows).await;
    }
}

/// Runs as another user, as a process of [`other_users_are_refused`].
#[tokio::test]
async fn child_of_another_user() {
    let Some(path) = std::env::var_os(CHILD_SOCKET).map(PathBuf::from) else {
        println!("skipped: it is the other user's half of `other_users_are_refused`");
        return;
    };
    let verdict = match greet(&unix(&path, 0)).await {
        Ok(()) => "served".to_owned(),
        Err(why) => format!("refused: {why}"),
    };
    println!("the child was {verdict}");
}

#[tokio::test]
async fn other_users_are_refused() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can start a process as another user");
        return;
    }
    let world = World::new("other-users");
    world.open_folder();
    // Another user is a relay, so that all may connect, and the daemon decides.
    let setup = world.setup().with("router.relay_uids", STRANGER - 1);
    let daemon = setup.start_ready().await;
    let socket = daemon.setup.socket();
    // A copy: the folder of the tests need not be open to other users.
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    std::fs::copy(std::env::current_exe().unwrap(), &child).unwrap();
    for path in [folder.path(), &child] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let ask = |uid: u32| {
        let socket = socket.clone();
        let child = child.clone();
        tokio::task::spawn_blocking(move || {
            let output = Command::new(child)
                .args(["--exact", "local::child_of_another_user", "--nocapture"])
                .env(CHILD_SOCKET, socket)
                .current_dir("/")
                .uid(uid)
                .gid(uid)
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    };
    let printed = ask(STRANGER).await.unwrap();
    assert!(printed.contains("the child was refused"), "{printed}");
    let printed = ask(STRANGER - 1).await.unwrap();
    assert!(printed.contains("the child was served"), "{printed}");
    let line = daemon.logged("a connection of a user that is no relay was refused");
    assert_eq!(line.unwrap()["uid"], STRANGER);
}
