use super::super::{HiddenReason, WarningCode, extract};
use super::{check, headings, hidden, items, tables};

fn page(body: &str) -> super::Extracted {
    let page = extract(body.as_bytes(), "page.html").unwrap();
    check(&page);
    page
}

#[test]
fn a_page_yields_its_main_text_with_structure() {
    let html = "<!doctype html><html lang=en><head><title>Acme &amp; you</title><meta name=description content='Our guide'>\
        <style>p{color:#222}</style><script>var x='SECRET'</script></head><body><nav>Home | Shop</nav><main>\
        <h1>Our <em>voice</em></h1><p>We are warm,<br>and plain. <a href='https://acme.example/t'>Tone</a> first.</p>\
        <ul><li>short</li><li>kind<ul><li>inner</li></ul></li></ul>\
        <table><tr><th>say</th><th>not</th></tr><tr><td>people</td><td>users <b>ever</b></td></tr></table>\
        <pre>a\n  b</pre></main><footer>Imprint</footer></body></html>";
    let page = page(html);
    assert_eq!(page.title.as_deref(), Some("Acme & you"));
    assert_eq!(page.metadata["description"], "Our guide");
    assert_eq!(page.metadata["language"], "en");
    assert_eq!(headings(&page), [(1, "Our voice")]);
    assert_eq!(items(&page), ["short", "kind", "inner"]);
    assert_eq!(tables(&page), ["say | not\npeople | users ever"]);
    assert!(page.text.contains("We are warm,\nand plain. Tone first."));
    assert!(page.text.contains("a\n  b"));
    assert_eq!(&page.text[page.links[0].byte_start..page.links[0].byte_end], "Tone");
    assert!(!page.text.contains("SECRET") && !page.text.contains("Imprint"));
    assert!(page.has_warning(WarningCode::OutsideMain));
    let places: Vec<_> = page.blocks.iter().map(|b| b.origin.file_start).collect();
    assert_eq!(places[0], html.find("Our <em>"));
    assert!(places.iter().all(Option::is_some) && places.is_sorted());
}

#[test]
fn hidden_text_is_kept_apart() {
    let page = page(
        "<style>.x{display:none} @media print{.y{display:none}}</style><p>Shown</p>\
        <p hidden>S1</p><p style='display: none'>S2</p><div style='visibility:hidden'>S3 <b style='visibility:visible'>Back</b></div>\
        <p class=x>S4</p><p class=y>Printed</p><p style='color:white'>S5</p><p style='font-size:0'>S6</p>\
        <div style='background:#000'><p style='color:white'>Light</p></div>\
        <p style='position:absolute;left:-9999px'>S7</p><p aria-hidden=true>Star</p><dialog>S8</dialog>\
        <table><tr><td>cell</td><td hidden>S9</td></tr><tr><td>a</td><td>b</td></tr></table>\
        <template>S10</template><noscript>S11</noscript><!-- S12 --><input type=hidden value=S13>",
    );
    for word in ["Shown", "Back", "Printed", "Light", "Star", "cell"] {
        assert!(page.text.contains(word), "{word}");
    }
    assert!(
        !page.text.contains('S') || !(1..=13).any(|n| page.text.contains(&format!("S{n}"))),
        "{}",
        page.text
    );
    let hidden = hidden(&page);
    for n in 1..=9 {
        assert!(hidden.contains(&format!("S{n}")), "S{n} in {hidden}");
    }
    assert!(!hidden.contains("S10") && !hidden.contains("S12"));
    assert_eq!(page.hidden[0].reason, HiddenReason::Attribute);
    assert!(page.hidden.iter().any(|h| h.reason == HiddenReason::SameColour));
    assert!(page.has_warning(WarningCode::HiddenText));
}

#[test]
fn mails_of_layout_tables_and_a_preheader_read_as_prose() {
    let page = page(
        "<body><div style='display:none;max-height:0'>Preheader</div><table role=presentation width=600 style='font-size:0'>\
        <tr><td style='font-size:14px'><h2>Sale</h2><p>Ends soon.</p></td></tr></table>",
    );
    assert_eq!(page.text, "Sale\n\nEnds soon.");
    assert_eq!(hidden(&page), "Preheader");
}

#[test]
fn entities_charsets_and_deep_nesting() {
    let latin = page_bytes(b"<meta charset=iso-8859-1><p>Gr\xfc\xdfe &amp; &#233;t\xe9</p>");
    assert_eq!(latin.text, "Grüße & été");
    assert!(!latin.has_warning(WarningCode::EncodingGuessed));
    let deep = page_bytes(format!("<p>top</p>{}deep", "<div>".repeat(1_000)).as_bytes());
    assert_eq!(deep.text, "top");
    assert!(deep.has_warning(WarningCode::NestedTooDeep));
    let bomb = extract("<b>".repeat(200_000).as_bytes(), "p.html").unwrap_err();
    assert_eq!(bomb.kind(), neonhub_core::ErrorKind::Blocked);
    let wide = page_bytes("<p>a<li>b<br>".repeat(5_000).as_bytes());
    assert_eq!(wide.blocks.len(), 10_000);
    assert!(page_bytes(b"<html><body> <br> </body>").has_warning(WarningCode::NoText));
}

fn page_bytes(bytes: &[u8]) -> super::Extracted {
    let page = extract(bytes, "p.htm").unwrap();
    check(&page);
    page
}

fn left_out(page: &super::Extracted) -> usize {
    let warning = page.warnings.iter().find(|w| w.code == WarningCode::OutsideMain);
    warning.map_or(0, |warning| warning.detail.parse().unwrap())
}

#[test]
fn a_page_without_main_reads_as_its_article() {
    let page = page(
        "<body><header><a href=/>Acme</a> Search</header><nav>Home</nav><div><article><header><h1>Warm words</h1></header>\
        <p>We say hello first, and we mean it.</p><p hidden>SECRET</p><blockquote>Lovely!<footer>Mia</footer></blockquote>\
        <aside>Read this too</aside><footer>Share</footer></article></div><aside><article>Teaser</article></aside>\
        <footer>Imprint</footer></body>",
    );
    assert_eq!(page.text, "Warm words\n\nWe say hello first, and we mean it.\n\nLovely!\n\nMia");
    assert_eq!(headings(&page), [(1, "Warm words")]);
    assert_eq!(hidden(&page), "SECRET");
    let words = ["Acme", "Search", "Read this too", "Share", "Teaser", "Imprint"];
    assert_eq!(left_out(&page), words.iter().map(|w| w.len()).sum::<usize>());
}

#[test]
fn articles_that_are_only_teasers_do_not_hide_the_page() {
    let prose = "Our guide tells how we write to people who are busy. ".repeat(4);
    let found = page(&format!(
        "<header>Acme</header><div role=banner>Sale</div><h1>Guide</h1><p>{prose}</p>\
        <section><header><h2>Tone</h2></header><p>Warm.</p></section><article>News: we moved</article><footer>Imprint</footer>"
    ));
    assert_eq!(found.text, format!("Guide\n\n{}\n\nTone\n\nWarm.\n\nNews: we moved", prose.trim()));
    assert_eq!(left_out(&found), "AcmeSaleImprint".len());
    let list =
        page("<nav>Home</nav><article><h2>One</h2><p>First.</p></article><article><h2>Two</h2></article>");
    assert_eq!(list.text, "One\n\nFirst.\n\nTwo");
}

#[test]
fn a_page_of_nothing_else_is_read_whole_and_a_hidden_article_gives_way() {
    let frame = page("<header><h1>Acme</h1></header><footer>Open from nine to five</footer>");
    assert_eq!(frame.text, "Acme\n\nOpen from nine to five");
    assert!(!frame.has_warning(WarningCode::OutsideMain));
    let template = page("<article style='display:none'>A template of an article</article><p>Shown</p>");
    assert_eq!((template.text.as_str(), hidden(&template).as_str()), ("Shown", "A template of an article"));
    let main =
        page("<main><p>Text</p><aside>A tip</aside><footer>By Mia</footer></main><article>Other</article>");
    assert_eq!(main.text, "Text\n\nA tip\n\nBy Mia", "the author chose this part");
    let markdown =
        extract(b"# Guide\n\nWarm.\n\n<aside>A tip</aside>\n\n<article>Part</article>\n", "g.md").unwrap();
    assert!(
        markdown.text.contains("Warm.") && markdown.text.contains("A tip") && markdown.text.contains("Part")
    );
}
