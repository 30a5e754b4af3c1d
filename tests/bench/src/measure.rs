//! Percentiles of many short runs, and tables.

use std::time::{Duration, Instant};

/// Durations of single runs in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<u64>);

impl Samples {
    /// Times each of `count` runs.
    pub fn add(&mut self, count: usize, mut run: impl FnMut()) {
        for _ in 0..count {
            let start = Instant::now();
            run();
            self.0
                .push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// The value below which `share` (0 to 1) of the runs stayed, in microseconds.
    pub fn percentile_us(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted
            .get((last as f64 * share).round() as usize)
            .map_or(f64::NAN, |nanoseconds| *nanoseconds as f64 / 1000.0)
    }
}

/// How often `run` can be done per second by `threads` threads together. `make` makes one
/// worker for each thread.
pub fn rate<W: FnMut() + Send>(threads: usize, time: Duration, make: impl Fn() -> W + Sync) -> f64 {
    let start_line = std::sync::Barrier::new(threads);
    let rates: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut run = make();
                    for _ in 0..2_000 {
                        run();
                    }
                    start_line.wait();
                    let start = Instant::now();
                    let mut done = 0_u64;
                    while start.elapsed() < time {
                        for _ in 0..100 {
                            run();
                        }
                        done += 100;
                    }
                    done as f64 / start.elapsed().as_secs_f64()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker finished"))
            .collect()
    });
    rates.iter().sum()
}

/// Prints rows in aligned columns, the first column to the left.
pub fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                if column == 0 {
                    format!("{cell:<width$}", width = widths[column])
                } else {
                    format!("{cell:>width$}", width = widths[column])
                }
            })
            .collect();
        println!("  {}", line.join("  ").trim_end());
    }
}
