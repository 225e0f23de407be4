// The chart's model over a real recording, and over texts and links of its own. Run by tests/chart.rs:
// node chart_model.js FOLDER_OF_THE_PAGE DATA.json
"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const [folder, file] = process.argv.slice(2);
const model = require(path.resolve(folder, "model.js"));
const recording = model.readRecording(JSON.parse(fs.readFileSync(file, "utf8")));

// The other scripts need a page; that they can be read is checked at least.
for (const script of ["drawing.js", "reader.js"]) execFileSync(process.execPath, ["--check", path.join(folder, script)]);

const all = new Set(model.KINDS.map((kind) => kind.key));
const filter = (changes) => ({ agent: null, session: null, kinds: all, ...changes });

// Everything is shown with all kinds on, in order, each on a row of its own.
const everything = model.shownMoments(recording, filter({}));
assert.equal(everything.length, recording.moments.length);
const layout = model.layOut(recording, everything, 1);
for (let row = 1; row < layout.rows.length; row += 1) {
  assert.ok(layout.rows[row] - layout.rows[row - 1] >= 20, `rows ${row - 1} and ${row} overlap`);
}
assert.ok(layout.breaks.length > 0 && layout.height < 1e7);

// Nothing is shown with all kinds off but the facts of the world.
const nothing = model.shownMoments(recording, filter({ kinds: new Set() }));
assert.ok(nothing.length > 0 && nothing.every((place) => recording.moments[place].kind === "fact"));

// An agent's moments are its own, or nobody's.
const ofOne = model.shownMoments(recording, filter({ agent: 1 }));
assert.ok(ofOne.length > 0 && ofOne.length < everything.length);
for (const place of ofOne) assert.ok([1, null].includes(recording.moments[place].agent));
const names = model.shownLifelines(recording, ofOne).map((lifeline) => lifeline.name);
assert.ok(names.includes("agent 1") && !names.includes("agent 2") && !names.includes("world"));

// A session begins with its Start and ends with a verdict.
const session = recording.sessions.findIndex((each) => each.agent === 1);
const labels = model.shownMoments(recording, filter({ session }))
  .map((place) => recording.moments[place])
  .filter((moment) => moment.session === session)
  .map((moment) => moment.label);
assert.match(labels[0], /^Start /);

// Every message that crosses a page is found, and few others.
const blocks = model.crossings(recording, layout);
const [first, last] = [Math.floor(layout.rows.length / 2), Math.floor(layout.rows.length / 2) + 40];
const found = new Set(model.messagesBetween(blocks, first, last));
for (const message of recording.messages) {
  const end = message.arrived ?? message.left;
  if (message.left <= last && end >= first) assert.ok(found.has(message.place), JSON.stringify(message));
}
assert.ok(found.size < recording.messages.length / 4);

// Times have their heights, between the rows around them.
const middle = recording.moments[first];
const height = model.heightOf(recording, layout, middle.at);
assert.ok(height <= layout.rows[first] && height > 0);
assert.equal(model.heightOf(recording, layout, Infinity), layout.height);
assert.equal(model.heightOf(recording, layout, -1), 0);
assert.equal(layout.shown[model.rowNear(layout, middle.place)], middle.place);

// A search looks at labels, fields, remarks and faults.
const hits = model.searchRows(recording, layout, "BULK #1 ");
assert.deepEqual(model.searchRows(recording, layout, "  "), []);
assert.ok(hits.every((row) => /bulk #1/i.test(JSON.stringify(recording.moments[layout.shown[row]]))));
assert.ok(model.searchRows(recording, layout, "frame-lost").length > 0);
assert.deepEqual(model.searchRows(recording, layout, "no such words"), []);
assert.ok(model.troubleRows(recording, layout).some(({ isLost }) => isLost));

// Fields: nested as Rust writes them, texts whole, sessions by their names, broken ones not lost.
const lines = model.fieldLines('Received { connection: ConnectionId(1), answer: EndAck(EndAck { status: Ok, session: 77, detail: "a } \\" b" }) }', [{ id: "77" }]);
const text = lines.map(({ depth, parts }) => "  ".repeat(depth) + parts.map((part) => part[1]).join("")).join("\n");
assert.equal(text, [
  "Received {",
  "  connection: ConnectionId(1),",
  "  answer: EndAck(",
  "    EndAck {",
  "      status: Ok,",
  "      session: S1,",
  '      detail: "a } \\" b"',
  "    }",
  "  )",
  "}",
].join("\n"));
assert.doesNotThrow(() => model.fieldLines('broken ( { [ "never closed', []));
for (const moment of recording.moments.slice(0, 3000)) model.fieldLines(moment.detail, recording.sessions);

// Links say what was chosen and nothing else; what they say wrongly is not believed.
const usual = model.readFragment("");
assert.equal(model.writeFragment({ ...usual, moment: null }), "");
const read = model.readFragment("#agent=3&session=2&kinds=mf&q=a%20b&moment=9&zoom=150");
assert.deepEqual([read.agent, read.session, read.query, read.moment, read.zoom], [3, 1, "a b", 9, 1.5]);
assert.deepEqual([...read.kinds], ["message", "fault"]);
assert.deepEqual(model.readFragment(`#${model.writeFragment(read)}`), read);
assert.equal(model.readFragment("#agent=<b>&zoom=9999").agent, null);
assert.equal(model.readFragment("#agent=<b>&zoom=9999").zoom, 3);

assert.deepEqual([5, 1500, 90_500].map(model.span), ["5 ms", "1.50 s", "1 min 31 s"]);
