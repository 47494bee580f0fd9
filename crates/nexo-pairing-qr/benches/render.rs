//! Drawing QR codes, for a setup code of version 1 and for a compact one.

use criterion::{Criterion, criterion_group, criterion_main};
use nexo_pairing_qr::{render_ansi, render_plain, render_png, size};

const PAYLOADS: [(&str, &str); 2] = [
    ("v1", include_str!("../tests/data/v1.txt").trim_ascii()),
    ("v2", include_str!("../tests/data/v2.txt").trim_ascii()),
];

fn render(criterion: &mut Criterion) {
    for (name, payload) in PAYLOADS {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("ansi", |bencher| bencher.iter(|| render_ansi(payload)));
        group.bench_function("plain", |bencher| bencher.iter(|| render_plain(payload)));
        group.bench_function("png", |bencher| bencher.iter(|| render_png(payload)));
        group.bench_function("size", |bencher| bencher.iter(|| size(payload)));
        group.finish();
    }
}

criterion_group!(benches, render);
criterion_main!(benches);
