//! Never answers.

guests::guest!("endless-loop", |_| {
    let mut number = 1_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(3));
    }
});
