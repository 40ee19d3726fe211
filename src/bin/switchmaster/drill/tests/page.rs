//! The report as an HTML page.

use super::*;
use crate::drill::{Series, faults::Step, html, shape::Shape};

const SHAPE: Shape = Shape {
    writers: 1,
    readers: 1,
    blocked: 0,
    pace: Duration::from_millis(5),
    value_size: 100,
    pipeline: 3,
};

fn report(clock: &Clock, way: SwitchOn) -> Report {
    let writes = (0..300).map(|n| clock.done(n * 10, n * 10 + 2, 1 + n / 200, n)).collect();
    let mut failed = clock.failed(1000, 1500);
    failed.trouble.as_mut().unwrap().message = "<b>\"no\"</b> & 'none'".to_owned();
    let reads = vec![clock.done(900, 901, 1, 0), failed, clock.done(1600, 2005, 2, 1)];
    let tracks = vec![track(Duty::Write, writes), track(Duty::Read, reads)];
    let mut record = clock.record(Fault::Kill, tracks);
    record.switch_on = way;
    record.steps = vec![Step { at: clock.at(1000), text: "<i>killed</i>".to_owned() }];
    Report::of(record)
}

fn page(runs: usize, ways: &[SwitchOn]) -> String {
    let clock = clock();
    let reports = (0..runs).flat_map(|_| ways.iter().map(|way| report(&clock, *way))).collect();
    let targets = Target::of(Fault::Kill, false);
    html::page(SHAPE, ways, &[Series { fault: Fault::Kill, reports, targets }], "today")
}

#[test]
fn a_page_needs_nothing_else_and_has_one_timeline_for_each_side() {
    let page = page(1, &WAYS);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");
    for source in ["src=", "href=", "url(", "@import", "http"] {
        assert!(!page.contains(source), "{source}");
    }
    assert_eq!(page.matches("<svg class=\"timeline\"").count(), 3);
    assert_eq!(page.matches("class=\"mark switch\"").count(), 6, "drawn, and in the legend");
    assert!(page.contains("S switch of the factory: 10.0 ms"));
    assert!(page.contains("values 100 bytes, 3 writes for each round trip"));
    assert!(!page.contains("<details>"));
}

#[test]
fn what_servers_say_stays_text() {
    let page = page(1, &WAYS[..1]);
    assert!(page.contains("&lt;b&gt;&quot;no&quot;&lt;/b&gt; &amp; &#39;none&#39;"), "{page}");
    assert!(page.contains("&lt;i&gt;killed&lt;/i&gt;"), "{page}");
    assert!(!page.contains("<b>") && !page.contains("<i>"), "{page}");
}

#[test]
fn many_runs_have_a_summary_and_a_timeline_each() {
    let page = page(3, &WAYS[..2]);
    assert!(page.contains("<h3>3 runs</h3>") && page.contains("promotion p50"), "{page}");
    assert_eq!(page.matches("<details>").count(), 3);
    assert_eq!(page.matches("<svg class=\"timeline\"").count(), 6);
    assert!(page.contains("p99 25 ok"), "{page}");
}

#[test]
fn a_chart_counts_what_was_done_in_each_slice() {
    let page = page(1, &WAYS[..1]);
    let (_, data) = page.split_once("data-writes=\"").expect("data of the chart");
    let (counts, _) = data.split_once('"').expect("its end");
    let total: u32 = counts.split(' ').map(|count| count.parse::<u32>().expect("a number")).sum();
    // Those of 300 that ended less than 300 ms before the fault, or later.
    assert_eq!(total, 230);
    let (_, data) = page.split_once("data-reads=\"").expect("data of the chart");
    let (counts, _) = data.split_once('"').expect("its end");
    assert_eq!(counts.split(' ').filter(|count| *count != "0").count(), 2);
}
