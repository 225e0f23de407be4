// The reader's side: filters, keys, the panel, and the link that leads back to what is on the page.
"use strict";

const KEYS = [
  ["j k ↓ ↑", "next and previous moment"],
  ["← →", "to the other end of the message"],
  ["f F", "next and previous fault"],
  ["v", "to the end: what was found there"],
  ["/", "search; then n and N"],
  ["a s", "only this moment's agent, or session; again: all"],
  ["+ − 0", "larger, smaller, usual size (also Ctrl and wheel)"],
  ["g G", "to the beginning, to the end"],
  ["i", "show or hide the side panel"],
  ["t", "light or dark"],
  ["Esc", "choose nothing, clear the search"],
];

const SIGNS = [
  ["→", "a message; the steeper, the longer it took"],
  ["⇢", "mail between the machines of the manager"],
  ["×", "lost"],
  ["▷×", "arrived where nobody listens any more"],
  ["■ ●", "a machine decides; a machine is told"],
  ["◆ ⚡", "a fault strikes, or struck this message"],
  ["▨", "the process is down"],
];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

class Reader {
  constructor(recording) {
    this.recording = recording;
    const find = (id) => document.getElementById(id);
    this.parts = Object.fromEntries(
      ["title", "badge", "facts", "agent", "session", "kinds", "search", "hits", "banner", "heads", "scroller",
        "canvas", "extent", "overview", "tip", "empty", "panel", "help", "natural"].map((id) => [id, find(id)]),
    );
    this.state = { ...readFragment(location.hash), chosen: null };
    this.hovered = null;
    this.setTheme(this.state.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    this.drawing = new Drawing(this.parts.canvas, recording);
    this.describeRun();
    this.fillControls();
    this.listen();
    this.refilter();
    this.follow();
  }

  setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    this.isDark = theme === "dark";
    if (this.drawing) {
      this.drawing.palette = readPalette();
      this.repaint();
    }
  }

  describeRun() {
    const { recording, parts } = this;
    const { verdict } = recording;
    document.title = `${recording.title} · inventory-sim`;
    parts.title.textContent = recording.title;
    parts.badge.textContent = verdict.sound ? verdict.headline : "failed";
    parts.badge.className = verdict.sound ? "sound" : "unsound";
    const many = (count, what) => `${count.toLocaleString("en")} ${what}`;
    parts.facts.textContent = [
      many(recording.steps, "steps"),
      `${span(recording.end - recording.begin)} simulated`,
      many(recording.messages.length, "messages"),
      many(recording.sessions.length, "sessions"),
      // A run that ended in a panic has none.
      ...(/^0+$/.test(recording.hash) ? [] : [`trace ${recording.hash}`]),
    ].join(" · ");
    if (!verdict.sound) {
      parts.banner.hidden = false;
      parts.banner.replaceChildren(
        make("b", {}, verdict.headline),
        `at step ${verdict.step}, ${clock(recording, verdict.at)} s: show it`,
        make("span", {}, `expected: ${verdict.expected}`),
        make("span", {}, `seen: ${verdict.seen}`),
      );
    }
    document.getElementById("keys").replaceChildren(
      ...KEYS.flatMap(([keys, what]) => [
        make("dt", {}, ...keys.split(" ").flatMap((key) => [make("kbd", {}, key), " "])),
        make("dd", {}, what),
      ]),
    );
    document.getElementById("signs").replaceChildren(
      ...SIGNS.flatMap(([sign, what]) => [make("dt", {}, sign), make("dd", {}, what)]),
    );
  }

  fillControls() {
    const { recording, parts, state } = this;
    parts.agent.append(make("option", { value: "" }, "all"));
    for (const lifeline of recording.lifelines.filter((each) => each.kind === "agent")) {
      parts.agent.append(make("option", { value: lifeline.agent }, lifeline.name));
    }
    parts.session.append(make("option", { value: "" }, "all"));
    recording.sessions.forEach((session, place) => {
      const text = `${sessionName(place)} · agent ${session.agent} · ${session.about}`;
      parts.session.append(make("option", { value: place }, text));
    });
    for (const kind of KINDS) {
      const toggle = () => {
        if (!state.kinds.delete(kind.key)) state.kinds.add(kind.key);
        this.refilter();
      };
      parts.kinds.append(make("button", { type: "button", title: kind.about, "data-kind": kind.key, onclick: toggle }, kind.name));
    }
    parts.search.value = state.query;
  }

  listen() {
    const { parts, state } = this;
    const on = (element, event, act, options) => element.addEventListener(event, act, options);
    const click = (id, act) => on(document.getElementById(id), "click", act);
    on(parts.agent, "change", () => {
      state.agent = parts.agent.value === "" ? null : Number(parts.agent.value);
      this.refilter();
    });
    on(parts.session, "change", () => {
      state.session = parts.session.value === "" ? null : Number(parts.session.value);
      this.refilter();
    });
    on(parts.search, "input", () => {
      state.query = parts.search.value;
      this.research();
      this.repaint();
    });
    on(parts.search, "keydown", (event) => {
      if (event.key === "Enter") this.toHit(event.shiftKey ? -1 : 1);
    });
    click("previous", () => this.toHit(-1));
    click("next", () => this.toHit(1));
    click("closer", () => this.zoomTo(state.zoom * 1.2));
    click("farther", () => this.zoomTo(state.zoom / 1.2));
    click("natural", () => this.zoomTo(1));
    click("theme", () => this.setTheme(this.isDark ? "light" : "dark"));
    click("help-button", () => parts.help.showModal());
    click("panel-button", () => this.togglePanel());
    click("banner", () => this.choose(this.layout.shown.length - 1, true));
    on(parts.scroller, "scroll", () => this.repaint());
    on(window, "resize", () => this.relayout());
    on(parts.scroller, "wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoomTo(state.zoom * (event.deltaY < 0 ? 1.1 : 1 / 1.1), event.offsetY);
    }, { passive: false });
    on(parts.canvas, "mousemove", (event) => this.hover(event));
    on(parts.canvas, "mouseleave", () => this.hover(null));
    on(parts.canvas, "click", (event) => {
      const found = this.drawing.find(event.offsetX + parts.scroller.scrollLeft, event.offsetY + parts.scroller.scrollTop);
      this.choose(found === null ? null : found.row, false);
    });
    const jump = (event) => {
      if (event.buttons !== 1) return;
      const share = event.offsetY / parts.overview.clientHeight;
      parts.scroller.scrollTop = share * this.layout.height - parts.scroller.clientHeight / 2;
    };
    on(parts.overview, "mousedown", jump);
    on(parts.overview, "mousemove", jump);
    on(window, "hashchange", () => {
      if (location.hash.replace(/^#/, "") === writeFragment(this.state)) return;
      Object.assign(state, readFragment(location.hash));
      parts.search.value = state.query;
      this.refilter();
      this.follow();
    });
    on(document, "keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.target.matches("input, select") || this.parts.help.open) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      j: () => this.move(1), ArrowDown: () => this.move(1),
      k: () => this.move(-1), ArrowUp: () => this.move(-1),
      ArrowRight: () => this.otherEnd(), ArrowLeft: () => this.otherEnd(),
      f: () => this.toFault(1), F: () => this.toFault(-1),
      n: () => this.toHit(1), N: () => this.toHit(-1),
      v: () => this.choose(this.layout.shown.length - 1, true), G: () => this.choose(this.layout.shown.length - 1, true),
      g: () => this.choose(0, true),
      "+": () => this.zoomTo(this.state.zoom * 1.2), "=": () => this.zoomTo(this.state.zoom * 1.2),
      "-": () => this.zoomTo(this.state.zoom / 1.2), 0: () => this.zoomTo(1),
      "/": () => this.parts.search.focus(),
      "?": () => this.parts.help.showModal(),
      i: () => this.togglePanel(),
      t: () => this.setTheme(this.isDark ? "light" : "dark"),
      a: () => this.narrow("agent"), s: () => this.narrow("session"),
      Escape: () => this.clear(),
    };
    const act = acts[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  }

  // What is shown changes: rows, columns and hits follow, and the page stays where it was.
  refilter() {
    const { recording, state, parts } = this;
    const kept = state.chosen ?? this.topMoment();
    const shown = shownMoments(recording, state);
    this.lifelines = shownLifelines(recording, shown);
    this.shown = shown;
    parts.agent.value = state.agent === null ? "" : String(state.agent);
    parts.session.value = state.session === null ? "" : String(state.session);
    for (const button of parts.kinds.children) {
      button.setAttribute("aria-pressed", String(state.kinds.has(button.dataset.kind)));
    }
    parts.empty.hidden = shown.length > 0;
    this.relayout();
    if (kept !== null && kept !== undefined && shown.length > 0) this.show(rowNear(this.layout, kept));
    this.describe();
  }

  topMoment() {
    if (!this.layout || this.layout.shown.length === 0) return null;
    const row = lowerBound(this.layout.rows, this.parts.scroller.scrollTop + this.parts.scroller.clientHeight / 2);
    return this.layout.shown[Math.min(row, this.layout.shown.length - 1)];
  }

  relayout() {
    const { recording, state, parts } = this;
    this.layout = layOut(recording, this.shown, state.zoom);
    this.breakHeights = this.layout.breaks.map((each) => each.y);
    this.blocks = crossings(recording, this.layout);
    this.troubles = troubleRows(recording, this.layout);
    const places = placeColumns(this.lifelines, parts.scroller.clientWidth);
    Object.assign(this, places);
    // The canvas takes the page's height; the rest of the chart's height comes below it.
    parts.extent.style.width = `${places.width}px`;
    parts.extent.style.height = `${this.layout.height}px`;
    parts.natural.textContent = `${Math.round(state.zoom * 100)} %`;
    this.research();
    this.repaint();
  }

  research() {
    this.hits = searchRows(this.recording, this.layout, this.state.query);
    this.hitSet = new Set(this.hits);
    this.parts.hits.textContent = this.state.query.trim() === "" ? "" : `${this.hits.length} found`;
    this.keepLink();
  }

  repaint() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      this.paint();
    });
  }

  paint() {
    const { parts, state, recording } = this;
    const { scroller } = parts;
    const chosen = state.chosen === null ? -1 : this.layout.rowOf.get(state.chosen) ?? -1;
    const moment = state.chosen === null ? null : recording.moments[state.chosen];
    const ends = moment === null ? [] : [...moment.leaving, ...(moment.arriving === null ? [] : [moment.arriving])];
    const view = {
      layout: this.layout, blocks: this.blocks, lifelines: this.lifelines, columns: this.columns, each: this.each,
      breakHeights: this.breakHeights, troubles: this.troubles, top: scroller.scrollTop, left: scroller.scrollLeft,
      width: scroller.clientWidth, height: scroller.clientHeight, zoom: state.zoom, chosen,
      chosenMessages: new Set(ends), hovered: this.hovered, hits: this.hitSet, isDark: this.isDark,
    };
    this.drawing.paint(view);
    paintOverview(parts.overview, view, this.drawing.palette);
    const heads = this.lifelines.map((lifeline) => {
      const head = make("div", {}, lifeline.name);
      head.style.left = `${this.columns.get(lifeline.place) - scroller.scrollLeft}px`;
      return head;
    });
    parts.heads.replaceChildren(make("div", { class: "time" }, "seconds"), ...heads);
  }

  hover(event) {
    const { parts } = this;
    const before = this.hovered;
    this.hovered = event === null ? null
      : this.drawing.find(event.offsetX + parts.scroller.scrollLeft, event.offsetY + parts.scroller.scrollTop);
    if (before?.row !== this.hovered?.row || before?.message !== this.hovered?.message) this.repaint();
    parts.canvas.style.cursor = this.hovered === null ? "default" : "pointer";
    if (this.hovered === null) {
      parts.tip.hidden = true;
      return;
    }
    const moment = this.recording.moments[this.layout.shown[this.hovered.row]];
    parts.tip.replaceChildren(...this.tipOf(moment, this.hovered.message));
    parts.tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = parts.tip;
    const room = { x: parts.scroller.clientWidth, y: parts.scroller.clientHeight };
    const x = event.offsetX + 18 + width > room.x ? Math.max(4, event.offsetX - width - 14) : event.offsetX + 18;
    const y = event.offsetY + 18 + height > room.y ? Math.max(4, event.offsetY - height - 10) : event.offsetY + 18;
    parts.tip.style.left = `${x}px`;
    parts.tip.style.top = `${y + parts.heads.offsetHeight}px`;
  }

  tipOf(moment, messagePlace) {
    const { recording } = this;
    const lines = [];
    const message = messagePlace === null ? null : recording.messages[messagePlace];
    lines.push(make("div", {}, make("b", {}, `${sessionName(moment.session)} ${message?.label ?? moment.label}`.trim())));
    const where = [`${clock(recording, moment.at)} s`, `step ${moment.step}`, recording.lifelines[moment.lifeline].name];
    lines.push(make("div", { class: "where" }, where.join(" · ")));
    if (message !== null) lines.push(make("div", {}, this.wayOf(message)));
    if (moment.detail !== "") lines.push(this.fields(moment.detail, 14));
    return lines;
  }

  // A message's way as a sentence.
  wayOf(message) {
    const { recording } = this;
    const names = `${recording.lifelines[message.from].name} → ${recording.lifelines[message.to].name}`;
    const took = message.arrived === null ? null
      : span(recording.moments[message.arrived].at - recording.moments[message.left].at);
    const fate = {
      arrived: `took ${took}`,
      lost: "lost",
      unheard: `took ${took}, nobody listens`,
      unread: `took ${took}, left unread`,
      "under-way": "still on its way at the end",
    }[message.passage];
    const strange = [...message.faults.map((fault) => `⚡ ${fault}`), ...(message.remark === "" ? [] : [message.remark])];
    const line = make("span", {}, `${names}: ${fate}`);
    if (strange.length > 0) line.append(" ", make("span", { class: "fault" }, strange.join(", ")));
    return line;
  }

  fields(detail, most) {
    const lines = fieldLines(detail, this.recording.sessions);
    const pre = make("pre", { class: "fields" });
    for (const { depth, parts } of lines.slice(0, most)) {
      pre.append("  ".repeat(depth), ...parts.map(([kind, text]) => make("span", { class: kind }, text)), "\n");
    }
    if (lines.length > most) pre.append(`… ${lines.length - most} more lines: click`);
    return pre;
  }

  choose(row, isFar) {
    const { state } = this;
    state.chosen = row === null || row < 0 ? null : this.layout.shown[row];
    state.moment = state.chosen;
    if (row !== null && row >= 0) this.show(row, isFar);
    this.describe();
    this.keepLink();
    this.repaint();
  }

  // Brings a row onto the page; into its middle when it was not there.
  show(row, always = false) {
    const { scroller } = this.parts;
    const y = this.layout.rows[row];
    const isSeen = y > scroller.scrollTop + 40 && y < scroller.scrollTop + scroller.clientHeight - 40;
    if (!isSeen || always) scroller.scrollTop = y - scroller.clientHeight / 2;
    this.repaint();
  }

  move(by) {
    const row = this.state.chosen === null ? rowNear(this.layout, this.topMoment() ?? 0) - by
      : this.layout.rowOf.get(this.state.chosen) ?? rowNear(this.layout, this.state.chosen);
    const next = Math.min(this.layout.shown.length - 1, Math.max(0, row + by));
    if (this.layout.shown.length > 0) this.choose(next, false);
  }

  otherEnd() {
    const { recording, state } = this;
    if (state.chosen === null) return;
    const moment = recording.moments[state.chosen];
    const message = recording.messages[moment.arriving ?? moment.leaving[0] ?? -1];
    const other = message === undefined ? undefined : message.arrived === state.chosen ? message.left : message.arrived;
    const row = this.layout.rowOf.get(other);
    if (row !== undefined) this.choose(row, false);
  }

  // The next row of which something holds, beyond the chosen one.
  toNext(by, holds) {
    const { length } = this.layout.shown;
    const begin = this.state.chosen === null ? rowNear(this.layout, this.topMoment() ?? 0)
      : this.layout.rowOf.get(this.state.chosen) ?? rowNear(this.layout, this.state.chosen);
    for (let row = begin + by; row >= 0 && row < length; row += by) {
      if (holds(row)) {
        this.choose(row, false);
        return;
      }
    }
  }

  toFault(by) {
    const { recording, layout } = this;
    this.toNext(by, (row) => {
      const moment = recording.moments[layout.shown[row]];
      return moment.kind === "fault" || moment.leaving.some((place) => recording.messages[place].faults.length > 0);
    });
  }

  toHit(by) {
    this.toNext(by, (row) => this.hitSet.has(row));
  }

  // Only the agent, or the session, of what is chosen; all again when that is so already.
  narrow(what) {
    const { state, recording } = this;
    const moment = state.chosen === null ? null : recording.moments[state.chosen];
    state[what] = state[what] === null && moment !== null ? moment[what] : null;
    this.refilter();
  }

  clear() {
    this.state.query = "";
    this.parts.search.value = "";
    this.research();
    this.choose(null, false);
  }

  zoomTo(zoom, at = this.parts.scroller.clientHeight / 2) {
    const { scroller } = this.parts;
    const next = allowedZoom(zoom);
    const scale = next / this.state.zoom;
    const top = (scroller.scrollTop + at) * scale - at;
    this.state.zoom = next;
    this.relayout();
    scroller.scrollTop = top;
  }

  togglePanel() {
    this.parts.panel.hidden = !this.parts.panel.hidden;
    this.relayout();
  }

  // Goes where a link points: to a moment, or to the first of a step.
  follow() {
    const { state, recording } = this;
    const place = state.moment
      ?? (state.step === null ? null : recording.moments.findIndex((moment) => moment.step >= state.step));
    if (place !== null && place >= 0 && this.layout.shown.length > 0) this.choose(rowNear(this.layout, place), true);
    else this.describe();
  }

  keepLink() {
    const link = writeFragment(this.state);
    history.replaceState(null, "", link === "" ? location.pathname + location.search : `#${link}`);
  }

  // The side panel: what is chosen, or else the run.
  describe() {
    const { state, recording, parts } = this;
    if (state.chosen === null) {
      parts.panel.replaceChildren(...this.describeWhole());
      return;
    }
    const moment = recording.moments[state.chosen];
    const messages = [...(moment.arriving === null ? [] : [moment.arriving]), ...moment.leaving];
    const rows = [
      ["time", `${clock(recording, moment.at)} s`],
      ["step", String(moment.step)],
      ["where", recording.lifelines[moment.lifeline].name],
    ];
    if (moment.module !== null) rows.push(["module", String(moment.module)]);
    if (moment.agent !== null) rows.push(["agent", String(moment.agent)]);
    if (moment.session !== null) {
      rows.push(["session", `${sessionName(moment.session)}: ${recording.sessions[moment.session].about}`]);
    }
    const sections = [make("section", {}, make("h2", {}, moment.label), this.table(rows))];
    for (const place of messages) {
      const message = recording.messages[place];
      const isHere = message.arrived === moment.place;
      const other = isHere ? message.left : message.arrived;
      const section = make("section", {}, make("h2", {}, isHere ? "Arrives" : "Leaves"), this.wayOf(message));
      if (other !== null && this.layout.rowOf.has(other)) {
        const go = () => this.choose(this.layout.rowOf.get(other), false);
        const text = isHere ? "where it left" : "where it arrives";
        section.append(make("div", {}, make("button", { class: "link", type: "button", onclick: go }, text)));
      }
      sections.push(section);
    }
    if (moment.detail !== "") {
      sections.push(make("section", {}, make("h2", {}, "Fields"), this.fields(moment.detail, 4000)));
    }
    parts.panel.replaceChildren(...sections);
    parts.panel.scrollTop = 0;
  }

  table(rows, isCount = false) {
    const table = make("table", { class: "facts" });
    for (const [name, value] of rows) {
      table.append(make("tr", {}, make("td", {}, name), make("td", isCount ? { class: "number" } : {}, value)));
    }
    return table;
  }

  describeWhole() {
    const { recording } = this;
    const counts = new Map();
    const count = (label) => counts.set(label, (counts.get(label) ?? 0) + 1);
    for (const moment of recording.moments) {
      if (moment.kind === "fault") count(moment.label.replace(/ × \d+$/, ""));
    }
    for (const message of recording.messages) message.faults.forEach(count);
    const faults = [...counts].sort((one, other) => other[1] - one[1]).map(([label, times]) => [label, String(times)]);
    const sessions = recording.sessions.map((session, place) => {
      const go = () => {
        this.state.session = place;
        this.refilter();
        this.parts.scroller.scrollTop = 0;
      };
      return make("div", {}, make("button", { class: "link", type: "button", onclick: go }, sessionName(place)),
        ` agent ${session.agent}: ${session.about}`);
    });
    const sections = [
      make("section", { class: "hint" }, "Point at something to see its fields, click to keep them here. Press ? for the keys."),
    ];
    if (!recording.verdict.sound) {
      sections.push(make("section", {}, make("h2", { class: "fault" }, recording.verdict.headline), this.table([
        ["step", String(recording.verdict.step)],
        ["time", `${clock(recording, recording.verdict.at)} s`],
        ["expected", recording.verdict.expected],
        ["seen", recording.verdict.seen],
      ])));
    }
    if (faults.length > 0) sections.push(make("section", {}, make("h2", {}, "Faults that struck"), this.table(faults, true)));
    const most = 200;
    if (sessions.length > 0) {
      sections.push(make("section", {}, make("h2", {}, "Sessions"), ...sessions.slice(0, most)));
      if (sessions.length > most) sections.at(-1).append(make("div", { class: "hint" }, `and ${sessions.length - most} more`));
    }
    return sections;
  }
}

window.reader = new Reader(readRecording(JSON.parse(document.getElementById("recording").textContent)));
