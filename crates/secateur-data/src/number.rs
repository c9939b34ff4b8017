//! Numbers as people write them in recipes: `0.485`, `1/255`, `-3e-2`.

/// A finite number or a fraction of two. Spaces around the parts are allowed.
pub(crate) fn parse_number(text: &str) -> Result<f32, String> {
    let value = match text.split_once('/') {
        Some((over, under)) => plain(over)? / plain(under)?,
        None => plain(text)?,
    };
    narrow(value).ok_or_else(|| format!("{:?} is not a finite number", text.trim()))
}

/// Numbers separated by commas; brackets around the list are allowed.
pub(crate) fn parse_list(text: &str) -> Result<Vec<f32>, String> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    inner.split(',').map(parse_number).collect()
}

/// The nearest f32, unless that is infinite or the value is NaN.
pub(crate) fn narrow(value: f64) -> Option<f32> {
    Some(value as f32).filter(|v| v.is_finite())
}

fn plain(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("{:?} is not a number", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_and_lists() {
        assert_eq!(parse_number("1/255"), Ok(1.0 / 255.0));
        assert_eq!(parse_number(" 2 / 4 "), Ok(0.5));
        assert_eq!(parse_list("0.485, 1/2,-3e-2"), Ok(vec![0.485, 0.5, -0.03]));
        assert_eq!(parse_list("[1,2]"), Ok(vec![1.0, 2.0]));
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["", "a", "1/0", "0/0", "inf", "nan", "1/2/3", "1e60", "1,,2"] {
            assert!(parse_list(bad).is_err(), "{bad:?}");
        }
    }
}
