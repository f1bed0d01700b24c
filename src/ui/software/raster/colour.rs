//! Premultiplied colours, four bytes in one number: `0xAARRGGBB`.

use egui::Color32;

/// See the module.
pub(crate) fn pack(colour: Color32) -> u32 {
    let [r, g, b, a] = colour.to_array();
    u32::from_be_bytes([a, r, g, b])
}

/// Whether it adds light: a colour that is brighter than its alpha may overflow when it is laid over another.
pub(crate) fn is_additive(colour: u32) -> bool {
    let [a, r, g, b] = colour.to_be_bytes();
    r.max(g).max(b) > a
}

/// Every byte of `colour` times `by` / 255, rounded.
#[inline]
pub(crate) fn scale(colour: u32, by: u32) -> u32 {
    const EVEN: u32 = 0x00ff_00ff;
    // exact for products of bytes: (x + 128 + ((x + 128) >> 8)) >> 8
    let low = (colour & EVEN) * by + 0x0080_0080;
    let high = ((colour >> 8) & EVEN) * by + 0x0080_0080;
    let low = (low + ((low >> 8) & EVEN)) >> 8;
    let high = high + ((high >> 8) & EVEN);
    (low & EVEN) | (high & !EVEN)
}

/// The bytes of both multiplied, as a texture's colour with that of a vertex.
#[inline]
pub(crate) fn multiply(a: u32, b: u32) -> u32 {
    let grey = a & 0xff;
    if a == grey * 0x0101_0101 {
        return scale(b, grey);
    }
    let (a, b) = (a.to_be_bytes(), b.to_be_bytes());
    let byte = |i: usize| {
        let product = u32::from(a[i]) * u32::from(b[i]) + 128;
        ((product + (product >> 8)) >> 8) as u8
    };
    u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)])
}

/// `source` over `below`. Not for colours that add light: see [`over_bright`].
#[inline]
pub(crate) fn over(source: u32, below: u32) -> u32 {
    source.wrapping_add(scale(below, 255 - (source >> 24)))
}

/// The same for all colours.
pub(crate) fn over_bright(source: u32, below: u32) -> u32 {
    let (source, below) = (source.to_be_bytes(), scale(below, 255 - (source >> 24)).to_be_bytes());
    u32::from_be_bytes([0, 1, 2, 3].map(|i: usize| source[i].saturating_add(below[i])))
}

/// One colour over a stretch of pixels.
#[inline]
pub(crate) fn lay(source: u32, row: &mut [u32]) {
    if source >> 24 == 255 {
        row.fill(source);
    } else if is_additive(source) {
        row.iter_mut().for_each(|pixel| *pixel = over_bright(source, *pixel));
    } else if source != 0 {
        row.iter_mut().for_each(|pixel| *pixel = over(source, *pixel));
    }
}
