//! A QR code as a picture within a page.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of white around the code (ISO/IEC 18004, 6.3.8): scanners look for it.
const QUIET_ZONE: i32 = 4;

/// The code as an SVG element with this label for screen readers; none if the text is too long for
/// a code. Dark on white in either colour scheme, as scanners expect, and without `style`, which
/// the pages' policy forbids.
pub(crate) fn svg(text: &str, label: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let side = code.size() + 2 * QUIET_ZONE;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let start = x;
            while x < code.size() && code.get_module(x, y) {
                x += 1;
            }
            if x > start {
                let (left, top, width) = (start + QUIET_ZONE, y + QUIET_ZONE, x - start);
                let _ = write!(path, "M{left} {top}h{width}v1h-{width}z");
            }
            x += 1;
        }
    }
    let label = crate::frame::markup::escape(label);
    Some(format!(
        "<svg class=\"qr-code\" role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {side} {side}\" width=\"240\" height=\"240\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the picture back into modules, as a scanner would.
    fn modules(svg: &str, side: i32) -> Vec<Vec<bool>> {
        let mut all = vec![vec![false; side as usize]; side as usize];
        let path = svg
            .split(" d=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        for run in path.split('M').skip(1) {
            let (place, rest) = run.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let width: usize = rest.split('v').next().unwrap().parse().unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            all[y][x..x + width].fill(true);
        }
        all
    }

    #[test]
    fn the_picture_has_exactly_the_modules_of_the_code_and_a_quiet_zone() {
        let text = "otpauth://totp/index.example:ana?secret=JBSWY3DPEHPK3PXP&issuer=index.example";
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
        let side = code.size() + 2 * QUIET_ZONE;
        let picture = modules(&svg(text, "QR code").unwrap(), side);
        for (y, row) in picture.iter().enumerate() {
            for (x, dark) in row.iter().enumerate() {
                assert_eq!(
                    *dark,
                    code.get_module(x as i32 - QUIET_ZONE, y as i32 - QUIET_ZONE),
                    "{x} {y}"
                );
            }
        }
    }

    #[test]
    fn a_label_is_text_and_nothing_needs_a_style() {
        let svg = svg("x", "\"><script>").unwrap();
        assert!(svg.contains("aria-label=\"&quot;&gt;&lt;script&gt;\"") && !svg.contains("style"));
    }

    #[test]
    fn a_text_too_long_for_a_code_has_none() {
        assert_eq!(svg(&"x".repeat(4000), "QR code"), None);
    }
}
