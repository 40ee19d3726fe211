//! `switchmaster drill --report`: the page, as a browser shows it.

use std::{fs, path::Path};

use crate::{
    browser::Browser,
    drills::is_kept,
    program::{output, text},
};

/// Tells what the page cannot know of itself: how wide it is, and what is told at a mark.
const LOOK: &str = "<script>
const page = document.documentElement;
page.dataset.width = innerWidth;
page.dataset.overflow = page.scrollWidth - innerWidth;
const mark = document.querySelector('.mark.switch circle');
mark.scrollIntoView({ block: 'center', inline: 'center' });
const box = mark.getBoundingClientRect();
const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
mark.dispatchEvent(new PointerEvent('pointermove', at));
page.dataset.told = document.getElementById('tip').textContent;
page.dataset.shown = getComputedStyle(document.getElementById('tip')).display;
document.querySelector('.timeline').dispatchEvent(new PointerEvent('pointerleave'));
</script>";

/// An attribute of the page itself.
fn attribute<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, head) = page.split_once("<html").expect("a page");
    let (head, _) = head.split_once("<head").expect("a head");
    let (_, value) = head.split_once(&format!("data-{name}=\"")).unwrap_or_else(|| {
        panic!("{name} in {head}");
    });
    value.split_once('"').expect("its end").0
}

fn assert_is_shown(browser: &Browser, page: &Path, width: u32) {
    let shown = browser.document(page, width);
    assert_eq!(attribute(&shown, "ready"), "yes");
    assert_eq!(attribute(&shown, "width"), width.to_string());
    assert_eq!(attribute(&shown, "overflow"), "0", "at a width of {width}");
    assert_eq!(attribute(&shown, "shown"), "block");
    let told = attribute(&shown, "told");
    assert!(told.contains(" writes and ") && told.contains("switch of the factory"), "{told}");
    assert_eq!(shown.matches("<svg class=\"timeline\"").count(), 2);
    for lane in ["writer 0", "reader 1", "blocked 0", "feeder 0"] {
        assert!(shown.contains(&format!(">{lane}</text>")), "{lane}");
    }
}

/// Width and height, which stand at the beginning of a PNG.
fn size(picture: &[u8]) -> (u32, u32) {
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().expect("4 bytes"));
    (number(16), number(20))
}

#[test]
fn a_report_is_shown_by_a_browser_wide_and_narrow() {
    let browser = Browser::new("report");
    let page = browser.file("report.html");
    let drill = output(&[
        "drill",
        "--fault=kill,planned",
        "--writers=2",
        "--report",
        page.to_str().expect("a path in UTF-8"),
    ]);
    assert!(is_kept(&drill), "{}{}", text(&drill.stdout), text(&drill.stderr));
    assert_eq!(text(&drill.stderr), "", "nothing is told of the progress where nobody looks");

    let examined = browser.file("examined.html");
    let html = fs::read_to_string(&page).expect("a report");
    fs::write(&examined, html.replace("</body>", &format!("{LOOK}</body>"))).expect("a file");
    let blank = browser.file("blank.html");
    fs::write(&blank, "<!doctype html><title>blank</title>").expect("a file");
    for width in [1200, 520] {
        assert_is_shown(&browser, &examined, width);
        let [picture, nothing] = [&page, &blank].map(|page| browser.picture(page, width));
        assert_eq!(size(&picture), (width, 1200));
        assert!(picture.len() > 5 * nothing.len(), "{} bytes of a picture", picture.len());
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_is_done() {
    let drill = output(&["drill", "--report=/nowhere/report.html", "--server=/nowhere/redis"]);
    let complaint = text(&drill.stderr);
    assert_eq!(drill.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("--report /nowhere/report.html"), "{complaint}");
}
