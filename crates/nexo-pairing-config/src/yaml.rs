//! Reads YAML: strictly, and within limits.

use serde_json::Value;

/// Reads one YAML document. An empty one is `null`.
///
/// Whatever is read differently by different readers is refused, or is a text: a key that is
/// there twice, `yes` and `no`, numbers with leading zeros or underscores, tags. The limits are far
/// above what a configuration needs, and far below what would hurt.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            flow_nesting_limit: 16,
            max_anchors: 1000,
            max_aliases: 10_000,
            enforce_alias_anchor_ratio: false,
            max_total_scalar_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.render_with_formatter(&serde_saphyr::UserMessageFormatter))
}
