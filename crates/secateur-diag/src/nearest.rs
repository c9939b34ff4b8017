//! Which names may have been meant by one that is not there.

/// As many are named at most.
const SHOWN: usize = 3;
/// More letters of a name are not compared.
const LETTERS: usize = 128;
/// More names are not looked at.
const NAMES: usize = 1 << 15;

/// Up to three of `names` that are near to `wanted`, the nearest first: those that hold it or are held by it, and those
/// that a few letters make the same. Capitals, and the signs of patterns, do not matter.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let letters = |s: &str| -> Vec<char> {
        s.chars().filter(|c| !"*?[]{}%@\"".contains(*c)).flat_map(char::to_lowercase).take(LETTERS).collect()
    };
    let target = letters(wanted);
    if target.is_empty() {
        return Vec::new();
    }
    let holds =
        |long: &[char], short: &[char]| short.len() > 1 && long.windows(short.len()).any(|w| w == short);
    let mut found: Vec<(usize, usize, &str)> = Vec::new();
    for (at, name) in names.into_iter().take(NAMES).enumerate() {
        let mut own = letters(name);
        // A pattern says nothing of what is before or behind it.
        match (wanted.ends_with('*'), wanted.starts_with('*')) {
            (true, false) => own.truncate(target.len()),
            (false, true) => drop(own.drain(..own.len().saturating_sub(target.len()))),
            _ => {}
        }
        if own.is_empty() || found.iter().any(|f| f.2 == name) {
            continue;
        }
        let (more, less) = if own.len() > target.len() { (&own, &target) } else { (&target, &own) };
        let most = more.len().div_ceil(3);
        let held = holds(more, less);
        let apart = match held {
            true => (more.len() - less.len()).min(most),
            false if more.len() - less.len() > most => continue,
            false => distance(&own, &target),
        };
        // Names of which no letter is the same are not near.
        if apart > most || (!held && apart >= less.len()) {
            continue;
        }
        found.push((apart, at, name));
        if found.len() > 64 * SHOWN {
            keep(&mut found);
        }
    }
    keep(&mut found);
    found.into_iter().map(|f| f.2).collect()
}

fn keep(found: &mut Vec<(usize, usize, &str)>) {
    found.sort_unstable();
    found.truncate(SHOWN);
}

/// Letters to insert, remove, replace or exchange with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let of = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        for (a, b, n) in [
            ("", "", 0),
            ("", "abc", 3),
            ("conv1", "conv1", 0),
            ("conv1", "conv2", 1),
            ("cnov1", "conv1", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("conv", "relu", 4),
        ] {
            assert_eq!((of(a, b), of(b, a)), (n, n), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_come_first() {
        let names = ["backbone/conv1/Conv", "head/fc", "conv1.weight", "Conv2", "relu"];
        assert_eq!(nearest("cnv2", names), ["Conv2"]);
        assert_eq!(nearest("conv1*", names), ["conv1.weight", "Conv2"]);
        assert_eq!(nearest("haed/*", names), ["head/fc"]);
        assert_eq!(nearest("*cnov1/conv", names), ["backbone/conv1/Conv"]);
        assert_eq!(nearest("head/fc1", names), ["head/fc"]);
        assert_eq!(nearest("fc", names), ["head/fc"]);
        assert!(nearest("embedding", names).is_empty());
        assert!(nearest("", names).is_empty() && nearest("*", names).is_empty());
        assert_eq!(nearest("a", ["b", "b", "a", "a"]), ["a"]);
        // The same whatever the length, and no more than three of very many.
        let long = "x".repeat(100_000);
        assert_eq!(nearest(&long, [long.as_str()]), [long.as_str()]);
        let many: Vec<String> = (0..5000).map(|i| format!("conv{i}")).collect();
        assert_eq!(nearest("convv17", many.iter().map(String::as_str))[0], "conv17");
    }
}
