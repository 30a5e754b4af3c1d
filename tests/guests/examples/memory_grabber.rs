//! Takes memory until there is none left, and writes to all of it.

guests::guest!("memory-grabber", |_| {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1; 1 << 20]));
    }
});
