//! How many tokens a picture can cost at most.

use super::ImageRequest;
use crate::economy::Worst;
use crate::llm::TokenCount;

// The calculator of OpenAI's image guide, as the OpenAI forum gives it (topic 1382699, 2026): 1024x1024 at `high` is
// 7,024 tokens. It is taken for every model that the table says no `max_output` of.
const OFFSET: u64 = 2_000_000;
const SCALE: u64 = 4_000_000;
/// The edge of a picture whose size the model chooses.
const USUAL: u32 = 1_024;

/// The most that a request can use. `per_picture` is what the table says of a model.
pub(in crate::llm) fn worst_tokens(request: &ImageRequest, per_picture: Option<u64>) -> Worst {
    let each = per_picture.unwrap_or_else(|| tokens(request));
    Worst {
        input: TokenCount::of_text(&request.prompt),
        output: each.saturating_mul(u64::from(request.count())),
        images: u32::from(request.count()),
    }
}

fn tokens(request: &ImageRequest) -> u64 {
    let factor: u64 = match request.quality.as_deref() {
        Some("low") => 16,
        Some("medium" | "standard") => 48,
        // What the qualities above it cost is not published: twice, our guess.
        Some("xhigh" | "max") => 192,
        _ => 96,
    };
    let (width, height) = request.pixels().unwrap_or((USUAL, USUAL));
    let (long, short) = (u64::from(width.max(height)), u64::from(width.min(height)));
    let across = (2 * factor * short + long) / (2 * long);
    (factor * across * (OFFSET + long * short)).div_ceil(SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_calculator() {
        let of = |quality: &str, size: &str| {
            let (quality, size) = (Some(quality.to_owned()), Some(size.to_owned()));
            tokens(&ImageRequest { quality, size, ..ImageRequest::default() })
        };
        assert_eq!(of("high", "1024x1024"), 7_024);
        assert_eq!(of("high", "1536x1024"), 5_488);
        assert_eq!(of("high", "1024x1536"), 5_488);
        assert!(of("low", "1024x1024") < of("medium", "1024x1024"));
        assert_eq!(tokens(&ImageRequest::default()), 7_024, "what is not said counts as the dearest");
        let three = ImageRequest { n: Some(3), ..ImageRequest::new("tea") };
        assert_eq!(worst_tokens(&three, None).output, 3 * 7_024);
        assert_eq!(worst_tokens(&three, Some(10)).output, 30, "the table wins");
    }
}
