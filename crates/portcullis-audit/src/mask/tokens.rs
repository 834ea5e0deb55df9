//! Forms of tokens.

/// One form of token: a fixed beginning and what may follow it.
pub(super) struct Token {
    pub(super) prefix: &'static str,
    pub(super) body: fn(u8) -> bool,
    /// Fewer body bytes than this are a word that happens to begin so.
    pub(super) least: usize,
    /// The beginning is also part of ordinary words, so it counts at the start of one only.
    pub(super) at_word_start: bool,
}

const fn token(prefix: &'static str, body: fn(u8) -> bool, least: usize) -> Token {
    Token {
        prefix,
        body,
        least,
        at_word_start: false,
    }
}

const fn word(prefix: &'static str, body: fn(u8) -> bool, least: usize) -> Token {
    Token {
        prefix,
        body,
        least,
        at_word_start: true,
    }
}

pub(super) fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

fn snake(b: u8) -> bool {
    alnum(b) || b == b'_'
}

pub(super) fn url_safe(b: u8) -> bool {
    alnum(b) || matches!(b, b'_' | b'-')
}

fn base64url(b: u8) -> bool {
    url_safe(b) || b == b'='
}

fn path(b: u8) -> bool {
    alnum(b) || b == b'/'
}

fn hexadecimal(b: u8) -> bool {
    b.is_ascii_hexdigit()
}

pub(super) fn dotted(b: u8) -> bool {
    url_safe(b) || b == b'.'
}

/// Tokens known by their beginning, by whoever gives them out.
const TOKENS: &[Token] = &[
    token("ghp_", alnum, 16),
    token("gho_", alnum, 16),
    token("ghu_", alnum, 16),
    token("ghs_", alnum, 16),
    token("ghr_", alnum, 16),
    token("github_pat_", snake, 16),
    token("AKIA", upper, 12),
    token("ASIA", upper, 12),
    word("sk-", url_safe, 16),
    token("xoxa-", url_safe, 10),
    token("xoxb-", url_safe, 10),
    token("xoxp-", url_safe, 10),
    token("xoxr-", url_safe, 10),
    token("xoxs-", url_safe, 10),
    token("glpat-", dotted, 16),
    token("npm_", alnum, 16),
    word("pypi-", url_safe, 16),
    token("AIza", url_safe, 24),
    token("ya29.", dotted, 16),
    token("GOCSPX-", url_safe, 16),
    token("xapp-", url_safe, 10),
    token("xoxe.", dotted, 10),
    token("hooks.slack.com/services/", path, 16),
    token("glrt-", dotted, 16),
    token("gldt-", dotted, 16),
    token("glptt-", dotted, 16),
    token("sk_live_", alnum, 16),
    token("sk_test_", alnum, 16),
    token("rk_live_", alnum, 16),
    word("whsec_", alnum, 16),
    word("hf_", alnum, 16),
    token("dckr_pat_", url_safe, 16),
    token("dop_v1_", alnum, 16),
    word("hvs.", dotted, 16),
    token("ATATT3", base64url, 16),
    token("shpat_", alnum, 16),
    word("SG.", dotted, 24),
    word("dapi", hexadecimal, 32),
    word("lin_api_", alnum, 16),
    token("AGE-SECRET-KEY-1", upper, 16),
];

/// For each byte, the tokens that begin with it, a bit each: most bytes begin none, and every byte of a text is asked about.
const BEGINS: [u64; 256] = {
    assert!(TOKENS.len() <= 64, "a bit for each token");
    let mut begins = [0; 256];
    let mut at = 0;
    while at < TOKENS.len() {
        begins[TOKENS[at].prefix.as_bytes()[0] as usize] |= 1 << at;
        at += 1;
    }
    begins
};

/// The tokens whose first byte this is, in their order.
pub(super) fn beginning_with(first: u8) -> impl Iterator<Item = &'static Token> {
    let mut left = BEGINS[usize::from(first)];
    std::iter::from_fn(move || {
        let token = TOKENS.get(left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_found_by_its_first_byte_and_no_other() {
        for first in 0..=u8::MAX {
            let found = beginning_with(first).map(|token| token.prefix);
            let begin = TOKENS.iter().map(|token| token.prefix);
            let begin = begin.filter(|prefix| prefix.as_bytes()[0] == first);
            assert_eq!(found.collect::<Vec<_>>(), begin.collect::<Vec<_>>());
        }
    }
}
