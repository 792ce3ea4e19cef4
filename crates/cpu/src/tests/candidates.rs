//! What a device finds, beside scores of everything.

use burn_ndarray::NdArrayDevice;
use nightshelf_model::top_k::gpu_candidates::{CandidateSource, OnDevice};
use nightshelf_model::{dot, initial};

use super::Cpu;

#[test]
fn the_best_rows_of_each_user_are_among_the_candidates() {
    let (users, rows, width, wanted) = (90, 1500, 8, 18);
    let (of_users, of_rows) = (initial(users, width, 1), initial(rows, width, 2));
    let write = |row: usize, values: &mut [f32]| values.copy_from_slice(&of_rows[row * width..][..width]);
    let source = OnDevice::<Cpu>::new(width, rows, &write, NdArrayDevice::Cpu);
    let taken: Vec<Vec<u32>> =
        (0..users as u32).map(|user| (0..user % 7).map(|n| n * 31 + user).collect()).collect();
    let found = source.propose(&of_users, &taken, wanted).expect("on the CPU");
    for (user, (found, taken)) in found.iter().zip(&taken).enumerate() {
        let score =
            |row: u32| dot(&of_users[user * width..][..width], &of_rows[row as usize * width..][..width]);
        let mut expected: Vec<u32> = (0..rows as u32).filter(|row| !taken.contains(row)).collect();
        expected.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        expected.truncate(wanted);
        let mut rows: Vec<u32> = found.iter().map(|(row, _)| *row).collect();
        assert!(found.iter().all(|(row, told)| (told - score(*row)).abs() < 1e-5));
        rows.sort_unstable();
        expected.sort_unstable();
        assert_eq!(rows, expected, "user {user}");
    }
}
