// The model: a recording read from its columns, what of it is shown, and where on the page. Knows nothing
// of a page, so that it can be tested without one.
"use strict";

// In the order of the numbers that the recording uses.
const CLASSES = ["message", "news", "decision", "routine", "timer", "fault", "fact"];
const PASSAGES = ["arrived", "lost", "unheard", "unread", "under-way"];

// What a reader can switch on and off; `letter` stands for it in a link.
const KINDS = [
  { key: "message", letter: "m", name: "Messages", about: "between agents, manager and Indexer" },
  { key: "inside", letter: "p", name: "Mail", about: "between the machines of the manager" },
  { key: "decision", letter: "d", name: "Decisions", about: "what machines ask of their own process" },
  { key: "news", letter: "e", name: "Events", about: "what machines are told by their own process" },
  { key: "fault", letter: "f", name: "Faults", about: "what strikes" },
  { key: "routine", letter: "r", name: "Routine", about: "leases, bounds, health, what is counted" },
  { key: "timer", letter: "t", name: "Timers", about: "the clock" },
];
const USUAL_KINDS = "mpdef";

// Sizes at the usual zoom, in pixels.
const ROW = 23;
const STEP_MAX = 20;
const BREAK = 34;
// From here on idle time is cut out of the page and labelled.
const BREAK_FROM_MS = 400;
// What is shown of the world before and after a chosen session.
const AROUND_MS = 500;

// Columns of differences become columns of values.
function summed(differences) {
  const values = new Float64Array(differences.length);
  let sum = 0;
  for (let place = 0; place < differences.length; place += 1) {
    sum += differences[place];
    values[place] = sum;
  }
  return values;
}

// Reads what is embedded in the page. Each moment knows the messages that leave and arrive with it.
function readRecording(data) {
  const { moments: columns, messages: sent, texts } = data;
  const steps = summed(columns.step);
  const times = summed(columns.at);
  const or = (value) => (value < 0 ? null : value);
  const moments = columns.lifeline.map((lifeline, place) => ({
    place,
    step: steps[place],
    at: times[place],
    lifeline,
    kind: CLASSES[columns.class[place]],
    label: texts[columns.label[place]],
    detail: texts[columns.detail[place]],
    session: or(columns.session[place]),
    agent: or(columns.agent[place]),
    module: or(columns.module[place]),
    leaving: [],
    arriving: null,
    inside: false,
  }));
  const messages = sent.from.map((from, place) => ({
    place,
    from,
    to: sent.to[place],
    left: sent.left[place],
    arrived: or(sent.arrived[place]),
    passage: PASSAGES[sent.passage[place]],
    label: texts[sent.label[place]],
    remark: texts[sent.remark[place]],
    faults: sent.faults[place].map((fault) => texts[fault]),
    inside: sent.inside[place] === 1,
    session: or(sent.session[place]),
    agent: or(sent.agent[place]),
  }));
  for (const message of messages) {
    const left = moments[message.left];
    left.leaving.push(message.place);
    left.inside ||= message.inside;
    if (message.arrived !== null) {
      const arrived = moments[message.arrived];
      arrived.arriving = message.place;
      arrived.inside ||= message.inside;
    }
  }
  return { ...data, moments, messages };
}

// From when to when a session lives, with a little around it; all of the run without one.
function lifeOf(recording, session) {
  if (session === null) return [-Infinity, Infinity];
  const own = recording.moments.filter((moment) => moment.session === session);
  return own.length === 0 ? [Infinity, -Infinity] : [own[0].at - AROUND_MS, own.at(-1).at + AROUND_MS];
}

// Which moments a filter lets through, in order. What concerns everybody stays whatever agent is chosen.
function shownMoments(recording, filter) {
  const faulty = (moment) =>
    filter.kinds.has("fault") &&
    (moment.leaving.some((place) => recording.messages[place].faults.length > 0) ||
      (moment.arriving !== null && recording.messages[moment.arriving].faults.length > 0));
  const [begin, end] = lifeOf(recording, filter.session);
  const shown = [];
  for (const moment of recording.moments) {
    if (moment.at < begin || moment.at > end) continue;
    if (moment.kind === "fact") {
      shown.push(moment.place);
      continue;
    }
    const kind = moment.inside && moment.kind !== "routine" ? "inside" : moment.kind;
    if (!filter.kinds.has(kind) && !faulty(moment)) continue;
    if (filter.agent !== null && moment.agent !== filter.agent && !(moment.kind === "fault" && moment.agent === null)) continue;
    if (filter.session !== null && moment.session !== filter.session && !(moment.kind === "fault" && moment.session === null)) continue;
    shown.push(moment.place);
  }
  return shown;
}

// Lifelines with something to show, in order. The world has none: what it says crosses the page.
function shownLifelines(recording, shown) {
  const used = new Set(shown.map((place) => recording.moments[place].lifeline));
  return recording.lifelines
    .map((lifeline, place) => ({ ...lifeline, place }))
    .filter((lifeline) => lifeline.kind !== "world" && used.has(lifeline.place));
}

// How far apart two rows are beyond a row's height: time counts, but a long wait is cut out.
function distance(idleMs) {
  if (idleMs <= 0) return 0;
  if (idleMs >= BREAK_FROM_MS) return BREAK;
  return Math.min(STEP_MAX, 3 * Math.log2(1 + idleMs));
}

// A row for each shown moment, in pixels from the top; cuts where idle time was left out.
function layOut(recording, shown, zoom) {
  const rows = new Float64Array(shown.length);
  const rowOf = new Map();
  const breaks = [];
  let y = ROW * zoom;
  for (let row = 0; row < shown.length; row += 1) {
    const moment = recording.moments[shown[row]];
    if (row > 0) {
      const idle = moment.at - recording.moments[shown[row - 1]].at;
      const extra = distance(idle) * zoom;
      if (idle >= BREAK_FROM_MS) breaks.push({ y: y + (ROW * zoom + extra) / 2, idle });
      y += ROW * zoom + extra;
    }
    rows[row] = y;
    rowOf.set(moment.place, row);
  }
  return { shown, rows, rowOf, breaks, height: y + 2 * ROW * zoom };
}

// The first of ascending numbers that is not below a value.
function lowerBound(numbers, value) {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Messages by the blocks of rows that they cross, so that few are looked at for a page.
const BLOCK = 128;

function crossings(recording, layout) {
  const blocks = new Map();
  for (const message of recording.messages) {
    const first = layout.rowOf.get(message.left);
    if (first === undefined) continue;
    let last = message.arrived === null ? first : layout.rowOf.get(message.arrived);
    if (last === undefined) last = first;
    for (let block = Math.floor(first / BLOCK); block <= Math.floor(last / BLOCK); block += 1) {
      if (!blocks.has(block)) blocks.set(block, []);
      blocks.get(block).push(message.place);
    }
  }
  return blocks;
}

// Messages with an end or a way between two rows, each once.
function messagesBetween(blocks, firstRow, lastRow) {
  const found = new Set();
  for (let block = Math.floor(firstRow / BLOCK); block <= Math.floor(lastRow / BLOCK); block += 1) {
    for (const place of blocks.get(block) ?? []) found.add(place);
  }
  return [...found].sort((one, other) => one - other);
}

// The height that stands for a time: between the rows around it.
function heightOf(recording, layout, at) {
  const { shown, rows } = layout;
  if (shown.length === 0) return 0;
  let low = 0;
  let high = shown.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (recording.moments[shown[middle]].at < at) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return 0;
  if (low === shown.length) return layout.height;
  const before = recording.moments[shown[low - 1]].at;
  const after = recording.moments[shown[low]].at;
  const part = after === before ? 0 : (at - before) / (after - before);
  return rows[low - 1] + (rows[low] - rows[low - 1]) * part;
}

// The shown row at or after a moment, or the last one.
function rowNear(layout, place) {
  return Math.min(lowerBound(layout.shown, place), layout.shown.length - 1);
}

// Rows in which a text stands, in whatever case.
function searchRows(recording, layout, text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  const rows = [];
  // Many moments share their texts: each text is looked at once.
  const known = new Map();
  const holds = (text) => {
    let answer = known.get(text);
    if (answer === undefined) {
      answer = text.toLowerCase().includes(wanted);
      known.set(text, answer);
    }
    return answer;
  };
  layout.shown.forEach((place, row) => {
    const moment = recording.moments[place];
    const messages = [...moment.leaving, ...(moment.arriving === null ? [] : [moment.arriving])];
    const words = [moment.label, moment.detail, sessionName(moment.session)];
    for (const message of messages.map((each) => recording.messages[each])) {
      words.push(message.label, message.remark, ...message.faults);
    }
    if (words.some(holds)) rows.push(row);
  });
  return rows;
}

// Rows at which something is lost or a fault strikes, for an overview.
function troubleRows(recording, layout) {
  const rows = [];
  layout.shown.forEach((place, row) => {
    const moment = recording.moments[place];
    const leaving = moment.leaving.map((each) => recording.messages[each]);
    if (leaving.some((message) => message.passage === "lost")) rows.push({ row, isLost: true });
    else if (moment.kind === "fault" || leaving.some((message) => message.faults.length > 0)) rows.push({ row, isLost: false });
  });
  return rows;
}

function sessionName(place) {
  return place === null ? "" : `S${place + 1}`;
}

// 1.5 s, 250 ms.
function span(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

// Seconds since the start of the run, with their milliseconds.
function clock(recording, at) {
  return ((at - recording.begin) / 1000).toFixed(3);
}

// Breaks what a machine was told or asked, as Rust writes it, into lines with depths and parts that have a
// colour: { depth, parts: [[kind, text]] }. Short groups stay on one line.
function fieldLines(text, sessions) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|[{}()[\],:]|[^\sA-Za-z_{}()[\],:"]+|\s+|"/g) ?? [];
  const names = new Map(sessions.map((session, place) => [session.id, sessionName(place)]));
  const solid = tokens.filter((token) => token.trim() !== "");
  const lines = [];
  let parts = [];
  let depth = 0;
  const endLine = () => {
    if (parts.length > 0) lines.push({ depth, parts });
    parts = [];
  };
  const ends = matching(solid);
  const isShort = (from) => {
    let length = 0;
    for (let each = from; each <= (ends.get(from) ?? from); each += 1) length += solid[each].length + 1;
    return length <= 44;
  };
  const stack = [];
  for (let place = 0; place < solid.length; place += 1) {
    const token = solid[place];
    if (token === "SessionId" && solid[place + 1] === "(" && solid[place + 3] === ")") {
      parts.push(["session", names.get(solid[place + 2]) ?? `unknown session ${solid[place + 2]}`]);
      place += 3;
    } else if ("{([".includes(token)) {
      const isFlat = stack.at(-1) === "flat" || isShort(place);
      stack.push(isFlat ? "flat" : "deep");
      parts.push(["sign", token === "{" ? (isFlat ? " { " : " {") : token]);
      if (!isFlat) {
        endLine();
        depth += 1;
      }
    } else if ("})]".includes(token)) {
      const wasDeep = stack.pop() === "deep";
      if (wasDeep) {
        endLine();
        depth = Math.max(0, depth - 1);
      }
      parts.push(["sign", token === "}" && !wasDeep ? " }" : token]);
    } else if (token === ",") {
      parts.push(["sign", stack.at(-1) === "deep" || stack.length === 0 ? "," : ", "]);
      if (stack.at(-1) === "deep") endLine();
    } else if (token === ":") {
      parts.push(["sign", ": "]);
    } else if (names.has(token)) {
      parts.push(["session", names.get(token)]);
    } else if (token.startsWith('"')) {
      parts.push(["text", token]);
    } else if (solid[place + 1] === ":") {
      parts.push(["name", token]);
    } else if (/^[A-Z]/.test(token)) {
      parts.push(["kind", token]);
    } else {
      const isWord = /^[a-z]/i.test(token) && parts.length > 0 && parts.at(-1)[0] === "value";
      parts.push(["value", isWord ? ` ${token}` : token]);
    }
  }
  endLine();
  return lines;
}

// Where each bracket is closed.
function matching(tokens) {
  const ends = new Map();
  const open = [];
  tokens.forEach((token, place) => {
    if ("{([".includes(token) && token.length === 1) open.push(place);
    else if ("})]".includes(token) && token.length === 1 && open.length > 0) ends.set(open.pop(), place);
  });
  return ends;
}

// Rows stay higher than their texts.
function allowedZoom(zoom) {
  return Math.min(3, Math.max(0.75, zoom));
}

// What a link says: #agent=1&session=2&step=120&kinds=mdef&q=text.
function readFragment(fragment) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  const number = (name) => (/^\d+$/.test(said.get(name) ?? "") ? Number(said.get(name)) : null);
  const letters = said.get("kinds") ?? USUAL_KINDS;
  const session = number("session");
  return {
    agent: number("agent"),
    session: session === null || session === 0 ? null : session - 1,
    step: number("step"),
    moment: number("moment"),
    query: said.get("q") ?? "",
    zoom: allowedZoom((number("zoom") ?? 100) / 100),
    theme: said.get("theme"),
    kinds: new Set(KINDS.filter((kind) => letters.includes(kind.letter)).map((kind) => kind.key)),
  };
}

function writeFragment(state) {
  const said = new URLSearchParams();
  if (state.agent !== null) said.set("agent", state.agent);
  if (state.session !== null) said.set("session", state.session + 1);
  const letters = KINDS.filter((kind) => state.kinds.has(kind.key)).map((kind) => kind.letter).join("");
  if (letters !== USUAL_KINDS) said.set("kinds", letters);
  if (state.query !== "") said.set("q", state.query);
  if (state.moment !== null) said.set("moment", state.moment);
  if (state.zoom !== 1) said.set("zoom", Math.round(state.zoom * 100));
  return said.toString();
}

// For tests, which have no page.
if (typeof module !== "undefined") {
  module.exports = {
    KINDS, USUAL_KINDS, readRecording, shownMoments, shownLifelines, layOut, lowerBound, crossings,
    messagesBetween, heightOf, rowNear, searchRows, troubleRows, span, fieldLines, readFragment, writeFragment,
  };
}
