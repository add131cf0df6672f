//! Outputs on their way from a worker. Its fetches of inputs wait on threads, for which the time of this network stands
//! still: they are shown end to end.

use crate::gate::Faults;
use crate::world::{World, over_seeds, task_with};
use cloudai_core::state::Status;

#[test]
fn a_master_that_does_not_know_small_files_together_gets_them_one_by_one() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        for lacks_small_files in [true, false] {
            gate.set(Faults { lacks_small_files, ..Faults::default() });
            let id = world.submit(task_with(&[("FAKE_OUT", "r.txt=result")]));
            let record = world.ended(id);
            assert_eq!(record.status(), Status::Completed, "{record:#?}");
            assert_eq!(world.file(record.attempt(), "r.txt"), b"result");
        }
        assert_eq!(gate.files(), 1, "the other came with a call for several");
    });
}
