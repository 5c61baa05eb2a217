//! Cutting what is to be sent into calls of bounded size.

/// All of it in its order, in portions of at most `most` bytes, unless one alone has more.
pub(super) fn portions<T>(all: &[T], most: usize, size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut bytes = all.first().map_or(0, &size);
    all.chunk_by(move |_, next| {
        let fits = bytes + size(next) <= most;
        bytes = size(next) + if fits { bytes } else { 0 };
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(sizes: &[usize]) -> Vec<&[usize]> {
        portions(sizes, 4, |size| *size).collect()
    }

    #[test]
    fn all_is_sent_in_order_as_much_at_once_as_fits() {
        assert_eq!(cut(&[1, 3, 2, 1, 1, 1, 3]), [&[1, 3][..], &[2, 1, 1], &[1, 3]]);
        assert_eq!(cut(&[0, 0, 0]), [[0, 0, 0]]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn what_is_larger_than_a_portion_goes_alone() {
        assert_eq!(cut(&[9]), [[9]]);
        assert_eq!(cut(&[1, 9, 9, 1, 1]), [&[1][..], &[9], &[9], &[1, 1]]);
    }
}
