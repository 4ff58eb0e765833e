//! A text as a QR code: SVG of one path, drawn here, so that no script and no other host sees the text.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

use crate::pages::Markup;

/// The empty rim that scanners want.
const RIM: usize = 4;

/// The drawing; nothing if the text is too long for one. `label` is what it is called where it can't be seen.
pub(super) fn svg(text: &str, label: &str) -> Markup {
    askama::filters::Safe(drawn(text, label).unwrap_or_default())
}

fn drawn(text: &str, label: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (place, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // Writing to a string can't fail.
            let _ = write!(path, "M{} {}h1v1h-1z", place % width + RIM, place / width + RIM);
        }
    }
    let size = width + 2 * RIM;
    let label = label.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    Some(format!(
        r#"<svg class="qr" viewBox="0 0 {size} {size}" role="img" aria-label="{label}" shape-rendering="crispEdges"><path d="{path}"/></svg>"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_path_and_one_too_long_nothing() {
        let drawing = drawn("otpauth://totp/alpha", "\"><script>").unwrap();
        assert!(drawing.contains("<path d=\"M4 4h1v1h-1z"));
        assert!(!drawing.contains("<script"));
        assert_eq!(drawn(&"x".repeat(5_000), "long"), None);
    }
}
