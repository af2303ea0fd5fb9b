//! How much memory it takes to get the numbers out of a Prometheus' answer, beside the answer itself.

mod peers;

use delivery_benches::replies::{matrix, ours, vector};

/// Fewer than a quarter of the bytes that `prometheus-http-query` takes for a sample, and not one allocation for each.
#[test]
fn a_sample_takes_less_than_a_quarter_of_the_memory() {
    let (matrix, points) = matrix(1 << 20);
    for (name, body, samples) in [("vector", vector(10_000), 10_000), ("matrix", matrix, points)] {
        let mut sums = [0.0; 3];
        let our = allocation_counter::measure(|| sums[0] = ours(&body));
        let peer = allocation_counter::measure(|| sums[1] = peers::http_query(&body));
        let tree = allocation_counter::measure(|| sums[2] = peers::tree(&body));
        assert!(
            sums.iter().all(|it| (it - sums[0]).abs() < 1e-6 * sums[0]),
            "{sums:?}"
        );
        let per_sample = |bytes: u64| bytes / u64::try_from(samples).unwrap();
        println!(
            "{name}: {} B a sample, {} with prometheus-http-query, {} as a tree",
            per_sample(our.bytes_max),
            per_sample(peer.bytes_max),
            per_sample(tree.bytes_max)
        );
        assert!(our.bytes_max * 4 < peer.bytes_max, "{name}: {our:?} {peer:?}");
        assert!(our.count_total < 100, "{name}: {our:?}");
    }
}
