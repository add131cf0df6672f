//! Two that call themselves by the same name.

use crate::gate::{Client, Token};
use crate::net;
use crate::world::{World, over_seeds, task};
use cloudai_core::state::Status;
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use cloudai_worker::{Because, Refused, StartError};
use std::cell::RefCell;
use std::rc::Rc;
use tonic::Code;

/// Talks to the master as a worker does.
fn client(token: &str) -> Client {
    MasterServiceClient::with_interceptor(net::channel("master"), Token(token.to_owned()))
}

fn info(name: &str, instance: &str) -> pb::WorkerInfo {
    let (name, instance) = (name.to_owned(), instance.to_owned());
    let info = pb::WorkerInfo { worker_id: name, instance, protocol: 1, cpu_milli: 8000, ..Default::default() };
    pb::WorkerInfo { memory_bytes: 16 << 30, storage_bytes: 80 << 30, ..info }
}

/// Runs a conversation with the master on a host of its own; answers its last word.
fn talk<T: 'static, F: Future<Output = T> + 'static>(world: &mut World, talk: impl FnOnce(Client) -> F + 'static) -> T {
    let said = Rc::new(RefCell::new(None));
    let (saying, token) = (Rc::clone(&said), world.token());
    world.sim.client("someone", async move {
        let word = talk(client(&token)).await;
        *saying.borrow_mut() = Some(word);
        Ok(())
    });
    world.until("the conversation is over", |_| said.borrow().is_some());
    said.take().unwrap()
}

#[test]
fn of_two_workers_of_one_name_that_come_at_once_one_is_let_in() {
    over_seeds(|seed| {
        let mut world = World::new(seed);
        let codes = talk(&mut world, async |client| {
            let register = async |instance: &str| client.clone().register_worker(info("w1", instance)).await;
            let (one, other) = futures::join!(register("one"), register("other"));
            [one, other].map(|answer| answer.map_or_else(|status| status.code(), |_| Code::Ok))
        });
        assert!(codes.contains(&Code::Ok) && codes.contains(&Code::AlreadyExists), "{codes:?}");
    });
}

#[test]
fn a_second_worker_of_a_name_is_refused_and_ends_and_the_first_goes_on() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1"]);
        let id = world.running(task("10000"));
        world.add_named("twin", "w1");
        world.until("the second has ended", |world| world.ends.borrow().contains_key("twin"));
        let end = world.ends.borrow_mut().remove("twin").unwrap();
        assert!(matches!(end, Err(StartError::Refused(Refused { because: Because::Name, .. }))), "{end:?}");
        let record = world.ended(id);
        assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1));
    });
}

/// A process that comes again has a new session: what is left of the one before it on the wire is refused.
#[test]
fn an_earlier_life_of_a_worker_opens_no_stream_and_renews_nothing() {
    over_seeds(|seed| {
        let mut world = World::new(seed);
        talk(&mut world, async |mut client| {
            let mut register = async || client.register_worker(info("w1", "one")).await.unwrap().into_inner().session;
            let (before, now) = (register().await, register().await);
            assert_ne!(before, now);
            let subscribe = |session| pb::SubscribeRequest { worker_id: "w1".into(), session };
            let refused = client.subscribe(subscribe(before)).await.unwrap_err();
            assert_eq!(refused.code(), Code::FailedPrecondition);
            let beat = |session| pb::Heartbeat { worker_id: "w1".into(), session, ..Default::default() };
            assert!(client.send_heartbeat(beat(before)).await.unwrap().into_inner().register_again);
            client.subscribe(subscribe(now)).await.unwrap();
            assert!(client.send_heartbeat(beat(now)).await.unwrap().into_inner().success);
            client.leave_cluster(pb::LeaveRequest { worker_id: "w1".into(), session: before }).await.unwrap();
        });
        assert!(world.worker("w1").unwrap().status.is_connected(), "an old farewell ends no new session");
    });
}
