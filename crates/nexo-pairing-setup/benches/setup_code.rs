//! Issuing, verifying, encoding and decoding, in both formats.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use nexo_pairing_core::setup_code::decode_setup_code;
use nexo_pairing_core::{SetupCode, SetupCodeFormat};
use nexo_pairing_setup::SetupCodeIssuer;

const FORMATS: [SetupCodeFormat; 2] = [SetupCodeFormat::V1, SetupCodeFormat::V2];

fn issue(issuer: &SetupCodeIssuer, format: SetupCodeFormat) -> SetupCode {
    let (url, profile) = ("wss://nexo.example.com/pair", "companion-v1");
    let (ttl, label) = (Duration::from_secs(3600), Some("Ana's iPhone"));
    let code = match format {
        SetupCodeFormat::V1 => issuer.issue(url, profile, ttl, label),
        _ => issuer.issue_compact(url, profile, ttl, label),
    };
    code.expect("all of it is within its bounds")
}

fn setup_code(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let issuer = SetupCodeIssuer::open_or_create(folder.path().join("pairing.key"));
    let issuer = issuer.expect("a key can be made");
    for format in FORMATS {
        let code = issue(&issuer, format);
        let payload = code.payload().expect("it was just issued");
        let mut group = criterion.benchmark_group(format.as_str());
        group.bench_function("issue", |bencher| bencher.iter(|| issue(&issuer, format)));
        group.bench_function("verify", |bencher| {
            bencher.iter(|| issuer.verify(black_box(&code.bootstrap_token)));
        });
        group.bench_function("encode", |bencher| bencher.iter(|| black_box(&code).payload()));
        group.bench_function("decode", |bencher| {
            bencher.iter(|| decode_setup_code(black_box(&payload)));
        });
        group.finish();
    }
}

criterion_group!(benches, setup_code);
criterion_main!(benches);
