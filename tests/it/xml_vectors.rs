//! The reader's rules, one file each, and what holds for every record.
//!
//! `CFS_WRITE_FIXTURES=1 cargo test xml_vectors` writes `fixtures/xml` anew.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test fails by panicking, says what it skipped, and writes its own files")]

use crate::samples;
use cloud_folder_sync::xml::{self, Error, read_record, write_record};
use std::path::{Path, PathBuf};

fn fixtures(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/xml").join(kind)
}

/// The bytes of a fixture, which must be those that the program makes today.
fn same_as_fixture(kind: &str, name: &str, bytes: &[u8]) {
    let path = fixtures(kind).join(name);
    if std::env::var_os("CFS_WRITE_FIXTURES").is_some() {
        std::fs::create_dir_all(fixtures(kind)).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(std::fs::read(&path).unwrap_or_default() == bytes, "{} is not what is written today", path.display());
}

#[test]
fn valid_files_read_and_are_written_the_same() {
    for (name, record) in samples::all() {
        let bytes = write_record(&record, &samples::folder());
        same_as_fixture("valid", &format!("{name}.xml"), &bytes);
        let read = read_record(&bytes, &samples::folder()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(read == record, "{name}");
        assert_eq!(write_record(&read, &samples::folder()), bytes, "{name}");
    }
    let files = std::fs::read_dir(fixtures("valid")).unwrap().count();
    assert_eq!(files, samples::all().len(), "a fixture that no sample makes");
}

/// A document without its hash and end, for the edits below.
const BODY: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<record xmlns="urn:cloud-folder-sync:1" format="1" folder="f01de400-0000-4000-8000-000000000001" type="patient" id="1dea0000-0000-4000-8000-000000000001">
 <site n="1" id="517e0000-0000-4000-8000-000000000001"/>
 <site n="2" id="517e0000-0000-4000-8000-000000000002"/>
 <seen s="1" t="2026-11-21T23:16:40.090Z+0000"/>
 <same-as id="1dea0000-0000-4000-8000-000000000050" is="same" s="2" t="2026-11-21T23:16:40.050Z+0000"/>
 <row table="patient" id="1dea0000-0000-4000-8000-000000000001" s="1" t="2026-11-21T23:16:40.010Z+0000">
  <deleted s="2" t="2026-11-21T23:16:40.080Z+0000">
   <by>Anna</by>
   <why/>
   <seen s="1" t="2026-11-21T23:16:40.070Z+0000"/>
  </deleted>
  <f n="age" type="integer">42</f>
  <f n="name">Ada</f>
  <f n="photo" type="blob">AAEC</f>
  <f n="weight" type="real">61.5</f>
 </row>
"#;

/// The rule, an edit to the body that breaks it, and what the reader says.
const RULES: &[(&str, &str, &str, &str)] = &[
    ("doctype", "<record", "<!DOCTYPE record>\n<record", "a DOCTYPE"),
    ("entity-bomb", "<record", "<!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]>\n<record", "a DOCTYPE"),
    ("processing-instruction", " <row", " <?php x?>\n <row", "a processing instruction"),
    ("second-declaration", " <row", " <?xml version=\"1.0\"?>\n <row", "a second XML declaration"),
    ("declaration-missing", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "", "the XML declaration is missing or another"),
    ("declaration-other-encoding", "UTF-8", "ISO-8859-1", "the XML declaration is missing or another"),
    ("byte-order-mark", "<?xml", "\u{feff}<?xml", "the XML declaration is missing or another"),
    ("comment", ">Ada", "><!-- -->Ada", "a comment"),
    ("comment-between-elements", " <row", " <!-- -->\n <row", "a comment"),
    ("cdata", ">Ada", "><![CDATA[Ada]]>", "a CDATA section"),
    ("cdata-end", ">Ada", ">A]]>da", "not well-formed XML"),
    ("unknown-entity", ">Ada", ">&nbsp;Ada", "an unknown entity"),
    ("unknown-entity-in-attribute", "n=\"name\"", "n=\"&nbsp;\"", "an unknown entity in an attribute"),
    ("bare-ampersand", ">Ada", ">A & B", "not well-formed XML"),
    ("control-character", ">Ada", ">A\u{1}da", "a control character"),
    ("control-character-in-attribute", "n=\"name\"", "n=\"na\u{1}me\"", "a control character"),
    ("control-character-by-reference", ">Ada", ">&#1;Ada", "a reference to a character that XML cannot hold"),
    ("control-character-by-reference-in-attribute", "n=\"name\"", "n=\"&#1;\"", "a control character in an attribute"),
    ("carriage-return", ">Ada", ">A\r\nda", "a control character"),
    ("non-character", ">Ada", ">\u{ffff}Ada", "a control character"),
    ("surrogate-by-reference", ">Ada", ">&#xD800;Ada", "a reference to a character that XML cannot hold"),
    ("number-too-large-by-reference", ">Ada", ">&#x110000;Ada", "a reference to a character that XML cannot hold"),
    ("less-than-in-attribute", "n=\"name\"", "n=\"<\"", "an attribute is malformed or given twice"),
    ("attribute-twice", "n=\"name\"", "n=\"name\" n=\"name\"", "an attribute is malformed or given twice"),
    ("attributes-not-apart", "n=\"age\" type", "n=\"age\"type", "an attribute is malformed or given twice"),
    ("attribute-without-value", "n=\"name\"", "n", "an attribute is malformed or given twice"),
    ("attribute-without-quotes", "n=\"name\"", "n=name", "an attribute is malformed or given twice"),
    ("attribute-name", "n=\"name\"", "n=\"name\" 1x=\"\"", "an attribute is malformed or given twice"),
    ("element-name", "<f n=\"name\">Ada</f>", "<1f n=\"name\">Ada</1f>", "not an element's name"),
    ("end-does-not-match", "Ada</f>", "Ada</g>", "not well-formed XML"),
    ("second-root", " <row", " </record>\n<record>\n <row", "the hash is missing"),
    ("root-is-another", "<record ", "<recorder ", "the root element is not <record>"),
    ("namespace-is-another", "folder-sync:1\"", "folder-sync:x\"", "another namespace"),
    ("namespace-missing", " xmlns=\"urn:cloud-folder-sync:1\"", "", "<record> lacks `xmlns`"),
    ("format-0", "format=\"1\"", "format=\"0\"", "format 0"),
    ("format-not-a-number", "format=\"1\"", "format=\"01\"", "`format` is not a number"),
    ("folder-missing", " folder=\"f01de400-0000-4000-8000-000000000001\"", "", "<record> lacks `folder`"),
    ("type-missing", " type=\"patient\"", "", "<record> lacks `type`"),
    ("id-in-capitals", "id=\"1dea0000-0000-4000-8000-000000000001\">\n <site", "id=\"1DEA0000-0000-4000-8000-000000000001\">\n <site", "`id` is not a UUID"),
    ("site-number-unknown", "<seen s=\"1\"", "<seen s=\"3\"", "an unknown site number"),
    ("site-number-zero", "<seen s=\"1\"", "<seen s=\"0\"", "an unknown site number"),
    ("site-number-with-zero", "<seen s=\"1\"", "<seen s=\"01\"", "an unknown site number"),
    ("sites-out-of-order", "<site n=\"2\" id=\"517e0000-0000-4000-8000-000000000002\"/>", "<site n=\"2\" id=\"507e0000-0000-4000-8000-000000000002\"/>", "sites are not in order"),
    ("sites-misnumbered", "<site n=\"2\"", "<site n=\"3\"", "sites are not in order"),
    ("site-after-the-head", " <row", " <site n=\"3\" id=\"517e0000-0000-4000-8000-000000000003\"/>\n <row", "an element out of its place"),
    ("stamp-without-milliseconds", "40.090Z", "40Z", "not a stamp"),
    ("stamp-of-no-day", "<seen s=\"1\" t=\"2026-11-21", "<seen s=\"1\" t=\"2026-02-30", "not a stamp"),
    ("stamp-counter-short", "40.090Z+0000", "40.090Z+0", "not a stamp"),
    ("stamp-half", "<seen s=\"1\" t", "<seen t", "half a stamp"),
    ("stamp-missing", "<seen s=\"1\" t=\"2026-11-21T23:16:40.090Z+0000\"/>", "<seen/>", "<seen> lacks its stamp"),
    ("seen-twice", " <same-as", " <seen s=\"1\" t=\"2026-11-21T23:16:40.090Z+0000\"/>\n <same-as", "an element that stands twice"),
    ("seen-with-content", "40.090Z+0000\"/>", "40.090Z+0000\">x</seen>", "text between elements"),
    (
        "same-as-twice",
        " <row",
        " <same-as id=\"1dea0000-0000-4000-8000-000000000050\" is=\"not\" s=\"1\" t=\"2026-11-21T23:16:40.050Z+0000\"/>\n <row",
        "an element that stands twice",
    ),
    ("same-as-unknown", "is=\"same\"", "is=\"maybe\"", "an unknown `is`"),
    ("erased-with-more", " <row", " <erased s=\"1\" t=\"2026-11-21T23:16:40.050Z+0000\"><why/></erased>\n <row", "an unknown element in <erased>"),
    ("attribute-unknown-on-seen", "<seen s=\"1\"", "<seen x=\"1\" s=\"1\"", "<seen> has an attribute that this format does not know"),
    ("attribute-of-a-delta", "<record", "<record partial=\"yes\"", "<record> has an attribute out of its place"),
    ("size-of-a-value-that-stands-here", "n=\"name\"", "n=\"name\" size=\"3\"", "<f> has an attribute out of its place"),
    ("size-of-a-blob-that-stands-here", "type=\"blob\"", "type=\"blob\" size=\"3\"", "<f> has an attribute out of its place"),
    ("row-twice", " <row", " <row table=\"patient\" id=\"1dea0000-0000-4000-8000-000000000001\" s=\"1\" t=\"2026-11-21T23:16:40.010Z+0000\"/>\n <row", "a row that stands twice"),
    ("row-without-stamp", "000001\" s=\"1\" t=\"2026-11-21T23:16:40.010Z+0000\"", "000001\"", "<row> lacks its stamp"),
    ("row-holds-text", "  <f n=\"age\"", "  words\n  <f n=\"age\"", "text between elements"),
    ("row-in-row", "  <f n=\"age\"", "  <row/>\n  <f n=\"age\"", "an element out of its place"),
    ("field-twice", "  <f n=\"name\"", "  <f n=\"age\"/>\n  <f n=\"name\"", "a field that stands twice"),
    ("was-without-field", "<f n=\"name\"", "<was n=\"nothing\"/>\n  <f n=\"name\"", "a field that stands twice"),
    ("was-equals-field", "  <f n=\"photo\"", "  <was n=\"name\">Ada</was>\n  <f n=\"photo\"", "a field that stands twice"),
    ("field-holds-element", ">Ada<", "><b>Ada</b><", "an element where text is expected"),
    ("field-without-name", "<f n=\"name\"", "<f", "<f> lacks `n`"),
    ("field-outside-row", " <row", " <f n=\"x\"/>\n <row", "an element out of its place"),
    ("field-type-unknown", "type=\"real\"", "type=\"decimal\"", "an unknown type"),
    ("field-place-unknown", "n=\"name\"", "n=\"name\" place=\"9\"", "an unknown site number"),
    ("name-in-base64-needlessly", "n=\"name\"", "n-base64=\"bmFtZQ==\"", "`n-base64` is not a name that needs it"),
    ("integer-with-zero", ">42<", ">042<", "not an integer"),
    ("integer-with-plus", ">42<", ">+42<", "not an integer"),
    ("integer-with-blank", ">42<", "> 42<", "not an integer"),
    ("integer-too-large", ">42<", ">9223372036854775808<", "not an integer"),
    ("integer-empty", ">42<", "><", "not an integer"),
    ("real-other-spelling", ">61.5<", ">61.50<", "not a real"),
    ("real-not-a-number", ">61.5<", ">NaN<", "not a real"),
    ("real-infinity-spelling", ">61.5<", ">inf<", "not a real"),
    ("null-with-content", "type=\"integer\">42<", "type=\"null\">42<", "text between elements"),
    ("base64-bad", ">AAEC<", ">AAE*<", "not base64"),
    ("base64-unpadded", ">AAEC<", ">AAE<", "not base64"),
    ("base64-with-blank", ">AAEC<", ">AA EC<", "not base64"),
    ("base64-other-bits", ">AAEC<", ">AB==<", "not base64"),
    ("encoding-unknown", "n=\"name\"", "n=\"name\" enc=\"hex\"", "an unknown encoding"),
    ("stored-blob-hash-short", "type=\"blob\">AAEC</f>", "type=\"blob\" sha256=\"abcd\" size=\"1\"/>", "not a SHA-256"),
    (
        "stored-blob-small",
        "type=\"blob\">AAEC</f>",
        "type=\"blob\" sha256=\"abababababababababababababababababababababababababababababababab\" size=\"16384\"/>",
        "a value under `blobs/` that is small enough to stand here",
    ),
    ("stored-text-without-hash", "type=\"blob\">AAEC</f>", "type=\"text\">AAEC</f>", "`type` is `text` without `sha256`"),
    (
        "stored-text-with-content",
        "type=\"blob\">AAEC</f>",
        "type=\"text\" sha256=\"abababababababababababababababababababababababababababababababab\" size=\"16385\">x</f>",
        "text between elements",
    ),
    ("stored-blob-without-size", "type=\"blob\">AAEC</f>", "type=\"blob\" sha256=\"abababababababababababababababababababababababababababababababab\"/>", "<f> lacks `size`"),
    ("ref-not-a-uuid", "type=\"integer\">42<", "type=\"ref\" table=\"t\">42<", "`ref` is not a UUID"),
    ("ref-without-table", "type=\"integer\">42<", "type=\"ref\">42<", "<f> lacks `table`"),
    ("ref-owner-no", "type=\"integer\">42<", "type=\"ref\" table=\"t\" owner=\"no\">42<", "`owner` is not `yes`"),
    ("tombstone-twice", "  <f n=\"age\"", "  <deleted s=\"2\" t=\"2026-11-21T23:16:40.080Z+0000\"/>\n  <f n=\"age\"", "two tombstones on one row"),
    ("tombstone-element-unknown", "<why/>", "<how/>", "an unknown element in a tombstone"),
    ("tombstone-why-twice", "<why/>", "<why/><why/>", "an element that stands twice"),
    ("tombstone-moved-half", "<deleted", "<deleted moved-row=\"1dea0000-0000-4000-8000-000000000001\"", "half a `moved-record` and `moved-row`"),
    ("tombstone-bare-no", "<deleted", "<deleted bare=\"no\"", "`bare` is not `yes`"),
    ("hash-twice", " <row", " <sha256>0</sha256>\n <row", "something after the hash"),
    ("later-element-twice", " <row", " <x/>\n <x/>\n <row", "an element that stands twice"),
    ("later-element-twice-in-row", "  <f n=\"age\"", "  <x/>\n  <x/>\n  <f n=\"age\"", "an element that stands twice"),
    ("later-element-stamp-not-first", " <row", " <x key=\"1\" s=\"1\" t=\"2026-11-21T23:16:40.010Z+0000\"/>\n <row", "a stamp that does not stand first"),
    ("later-element-comment", " <row", " <x><!-- --></x>\n <row", "a comment"),
    ("later-element-entity", " <row", " <x>&y;</x>\n <row", "an unknown entity"),
    ("later-element-attribute-twice", " <row", " <x><y z=\"\" z=\"\"/></x>\n <row", "an attribute is malformed or given twice"),
    ("later-element-prefix-undeclared", " <row", " <l:x/>\n <row", "a namespace prefix that its element does not declare"),
    ("later-element-prefix-undeclared-inside", " <row", " <x><l:y/></x>\n <row", "a namespace prefix that its element does not declare"),
    ("later-attribute-prefix-undeclared", "<row ", "<row l:x=\"\" ", "a namespace prefix that its element does not declare"),
    ("prefix-for-this-format", "<row ", "<row xmlns:c=\"urn:cloud-folder-sync:1\" ", "a namespace prefix for nothing or for this format"),
    ("row-of-another-namespace", "<row ", "<row xmlns=\"urn:another\" ", "a stamp that does not stand first"),
];

fn invalid() -> Vec<(String, Vec<u8>, String)> {
    let seal = |body: &str| xml::seal(body.as_bytes().to_vec(), "record");
    let mut all: Vec<(String, Vec<u8>, String)> = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, says: &str| all.push((format!("{name}.xml"), bytes, says.to_owned()));
    for (name, from, to, says) in RULES {
        let body = BODY.replacen(from, to, 1);
        assert!(body != BODY, "{name}: nothing to replace");
        add(name, seal(&body), says);
    }
    let whole = seal(BODY);
    add("empty", Vec::new(), "the file is empty");
    add("zeros", vec![0; 4096], "the end of the file is missing or damaged");
    for (name, share) in [("truncated-early", 8), ("truncated-in-the-middle", 2)] {
        add(name, whole[..whole.len() / share].to_vec(), "the end of the file is missing or damaged");
    }
    add("truncated-by-one-byte", whole[..whole.len() - 1].to_vec(), "the end of the file is missing or damaged");
    add("truncated-to-a-line", BODY.lines().next().unwrap().as_bytes().to_vec(), "the file is cut off");
    add("zeros-at-the-end", [whole.as_slice(), &[0; 512]].concat(), "the end of the file is missing or damaged");
    add("trailing-bytes", [whole.as_slice(), b" "].concat(), "the end of the file is missing or damaged");
    add("twice", [whole.as_slice(), whole.as_slice()].concat(), "the content does not match its SHA-256");
    add("hash-is-another", String::from_utf8(whole.clone()).unwrap().replace("Ada", "Eda").into_bytes(), "the content does not match its SHA-256");
    add("not-utf-8", xml::seal(BODY.replace("Ada", "\u{1}").bytes().map(|b| if b == 1 { 0xff } else { b }).collect(), "record"), "not UTF-8");
    add("format-2", seal(&BODY.replace("format=\"1\"", "format=\"2\"")), "format 2 is newer");
    add("format-2-ends-otherwise", BODY.replace("format=\"1\"", "format=\"2\"").into_bytes(), "format 2 is newer");
    add("another-folder", seal(&BODY.replace("f01de400", "f01de401")), "belongs to another sync folder (f01de401-0000-4000-8000-000000000001)");
    let before_row = |insert: String| seal(&BODY.replacen(" <row", &format!("{insert} <row"), 1));
    add("too-deep", before_row("<x>".repeat(40) + &"</x>".repeat(40)), "elements nest too deeply");
    add("too-many-attributes", before_row(format!("<x {}/>", (0..65).map(|i| format!("a{i}=\"\" ")).collect::<String>())), "too many attributes");
    add("too-many-unknown-attributes", seal(&BODY.replacen("<row ", &format!("<row {}", (0..33).map(|i| format!("a{i}=\"\" ")).collect::<String>()), 1)), "too many attributes");
    all
}

#[test]
fn invalid_files_are_refused_each_for_its_reason() {
    let mut table = String::from("file\tthe reader says\n");
    for (name, bytes, says) in invalid() {
        same_as_fixture("invalid", &name, &bytes);
        table += &format!("{name}\t{says}\n");
        match read_record(&bytes, &samples::folder()) {
            Ok(_) => panic!("{name} was read"),
            Err(e) => assert!(e.to_string().contains(&says), "{name}: {e}"),
        }
    }
    same_as_fixture("invalid", "expected.tsv", table.as_bytes());
    let files = std::fs::read_dir(fixtures("invalid")).unwrap().count();
    assert_eq!(files, invalid().len() + 1, "a fixture that no rule makes");
    // The body that the edits start from is itself in order.
    let whole = xml::seal(BODY.as_bytes().to_vec(), "record");
    let read = read_record(&whole, &samples::folder()).unwrap();
    assert_eq!(read.rows.len(), 1);
}

#[test]
fn a_message_says_where() {
    let body = BODY.replacen(">42<", ">042<", 1);
    let error = read_record(&xml::seal(body.into_bytes(), "record"), &samples::folder()).unwrap_err();
    assert_eq!(error.to_string(), "not valid: not an integer (line 13, column 36)");
}

#[test]
fn hostile_sizes_are_refused_at_once() {
    let seal = |body: String| xml::seal(body.into_bytes(), "record");
    let insert = |what: &str| seal(BODY.replacen(" <row", &format!("{what}\n <row"), 1));
    let cases = [
        ("a long attribute", insert(&format!("<x a=\"{}\"/>", "y".repeat(1 << 20))), "an attribute is too long"),
        ("an attribute that is long when it is written", insert(&format!("<row x='{}'/>", "\"".repeat(12 << 10))), "an attribute is too long"),
        ("a million attributes", insert(&format!("<x {}/>", (0..1_000_000).map(|i| format!("a{i}=\"\" ")).collect::<String>())), "too many attributes"),
        ("deep", insert(&"<x>".repeat(1 << 20)), "elements nest too deeply"),
        ("too large", vec![b' '; xml::MAX_FILE_BYTES + 1], "too large"),
        ("an entity bomb", insert("<!DOCTYPE x [<!ENTITY a \"&a;&a;\">]>"), "a DOCTYPE"),
        ("a million references", insert(&format!("<x>{}&no;</x>", "&#65;".repeat(1 << 20))), "an unknown entity"),
    ];
    for (what, bytes, says) in cases {
        let start = std::time::Instant::now();
        let error = read_record(&bytes, &samples::folder()).unwrap_err();
        assert!(error.to_string().contains(says), "{what}: {error}");
        // A debug build on a busy machine is given some room.
        assert!(start.elapsed().as_secs() < 5, "{what}: {:?}", start.elapsed());
    }
}

#[test]
fn a_newer_format_is_told_from_a_torn_file() {
    let bytes = BODY.replace("format=\"1\"", "format=\"7\"");
    assert_eq!(read_record(bytes.as_bytes(), &samples::folder()), Err(Error::TooNew(7)));
}
