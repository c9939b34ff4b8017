//! Cutting an image into tiles of a few vectors of pixels.

use crate::gemm::Group;

/// Equal tiles at regular places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tiles {
    pub groups: Vec<Group>,
    /// First row, number of tiles down, rows of a tile.
    pub y: [usize; 3],
    /// First column, number of tiles across, columns of a tile.
    pub x: [usize; 3],
}

/// Tiles of at most `n` vectors. The last vector of a row that is no multiple of four pixels overlaps the one before.
pub(crate) fn cut(height: usize, width: usize, n: usize) -> Vec<Tiles> {
    cut_high(height, width, n, 4)
}

/// The same with tiles of at most `most` rows.
pub(crate) fn cut_high(height: usize, width: usize, n: usize, most: usize) -> Vec<Tiles> {
    let mut all = Vec::new();
    let whole = width / 4;
    let odd = !width.is_multiple_of(4);
    if width < 4 {
        let groups = vec![Group { y: 0, x: 0, vectors: 1, lanes: width }];
        rows(&mut all, &groups, height, [n, most], 0);
    } else if whole >= n {
        let across = whole / n;
        let groups = vec![Group { y: 0, x: 0, vectors: n, lanes: 4 }];
        all.push(Tiles { groups, y: [0, height, 1], x: [0, across, 4 * n] });
        let done = 4 * n * across;
        rows(&mut all, &row_end(width - done, odd), height, [n, most], done);
    } else {
        rows(&mut all, &row_end(width, odd), height, [n, most], 0);
    }
    all.retain(|t| t.y[1] > 0 && t.x[1] > 0);
    all
}

/// The vectors of the last `width` pixels of a row.
fn row_end(width: usize, odd: bool) -> Vec<Group> {
    let mut groups = Vec::new();
    if width >= 4 {
        groups.push(Group { y: 0, x: 0, vectors: width / 4, lanes: 4 });
    }
    if odd {
        // May begin before the first column here: the columns before belong to other tiles.
        groups.push(Group { y: 0, x: width.wrapping_sub(4), vectors: 1, lanes: 4 });
    }
    groups
}

/// As many rows a tile as make `n` vectors, at most `most`.
fn rows(all: &mut Vec<Tiles>, row: &[Group], height: usize, [n, most]: [usize; 2], x: usize) {
    let vectors: usize = row.iter().map(|g| g.vectors).sum();
    if vectors == 0 {
        return;
    }
    // Columns that a tile reaches back are made up for by starting there.
    let back = row.iter().filter(|g| g.x > usize::MAX / 2).map(|g| g.x.wrapping_neg()).max().unwrap_or(0);
    let high = (n / vectors).clamp(1, most);
    let groups = |high: usize| {
        (0..high)
            .flat_map(|y| row.iter().map(move |g| Group { y, x: g.x.wrapping_add(back), ..*g }))
            .collect()
    };
    let x = [x - back, 1, 0];
    all.push(Tiles { groups: groups(high), y: [0, height / high, high], x });
    if !height.is_multiple_of(high) {
        let left = height % high;
        all.push(Tiles { groups: groups(left), y: [height - left, 1, left], x });
    }
}
