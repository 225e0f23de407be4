// The drawing: what of the chart lies between two heights, on a canvas. One row is one moment, so that no two
// texts can meet; arrows pass under texts.
"use strict";

const GUTTER = 108;
const COLUMN_MIN = 150;
const COLUMN_MAX = 460;
const FONT = 'system-ui, "Segoe UI", "Noto Sans", sans-serif';
const COLOURS = [
  "ground", "raised", "edge", "text", "dim", "line", "frame", "request", "mail", "news", "decision", "fault",
  "bad", "good", "warm-up", "chaos", "healed", "mark", "chosen", "down", "trouble",
];

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Sessions have a colour of their own, far from that of their neighbours.
function sessionColour(place, isDark) {
  const hue = (place * 137.5 + 210) % 360;
  return isDark ? `hsl(${hue} 60% 68%)` : `hsl(${hue} 65% 36%)`;
}

// Where the columns stand: x of each lifeline by its place, and the width of all.
function placeColumns(lifelines, width) {
  const room = Math.max(1, width - GUTTER - 30);
  const each = Math.min(COLUMN_MAX, Math.max(COLUMN_MIN, room / Math.max(1, lifelines.length)));
  const columns = new Map();
  lifelines.forEach((lifeline, number) => columns.set(lifeline.place, GUTTER + each * (number + 0.5)));
  return { columns, each, width: GUTTER + each * lifelines.length + 30 };
}

class Drawing {
  constructor(canvas, recording) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.recording = recording;
    this.palette = readPalette();
  }

  // `view`: layout, blocks, lifelines, columns, each, top, left, width, height, zoom, chosen, hovered, hits, isDark.
  paint(view) {
    const ratio = window.devicePixelRatio || 1;
    const { canvas, context, palette } = this;
    if (canvas.width !== Math.round(view.width * ratio) || canvas.height !== Math.round(view.height * ratio)) {
      canvas.width = Math.round(view.width * ratio);
      canvas.height = Math.round(view.height * ratio);
      canvas.style.width = `${view.width}px`;
      canvas.style.height = `${view.height}px`;
    }
    this.view = view;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = palette.ground;
    context.fillRect(0, 0, view.width, view.height);
    context.translate(-view.left, -view.top);
    context.textBaseline = "middle";
    const { rows } = view.layout;
    const first = Math.max(0, lowerBound(rows, view.top - 80) - 1);
    const last = Math.min(rows.length - 1, lowerBound(rows, view.top + view.height + 80));
    this.phases();
    this.emphasis(first, last);
    this.lifelines();
    this.breaks();
    const messages = rows.length > 0 ? messagesBetween(view.blocks, first, last) : [];
    for (const place of messages) this.arrow(this.recording.messages[place]);
    for (let row = first; row <= last; row += 1) this.moment(row);
    this.gutter(first, last);
    this.end();
  }

  // Where a run that failed stopped, and why.
  end() {
    const { context, view, recording, palette } = this;
    if (recording.verdict.sound || view.layout.rows.length === 0) return;
    const y = view.layout.height - ROW * view.zoom;
    context.fillStyle = palette.bad;
    context.fillRect(view.left + GUTTER, y - 1, view.width, 2);
    this.veil = palette.ground;
    this.text([[`✖ ${recording.verdict.headline}`, palette.bad, 700]], view.left + GUTTER + 12, y, "left");
  }

  font(size, weight = 400) {
    this.context.font = `${weight} ${size * Math.min(1.5, Math.max(0.8, this.view.zoom))}px ${FONT}`;
  }

  x(lifeline) {
    return this.view.columns.get(lifeline);
  }

  y(place) {
    const row = this.view.layout.rowOf.get(place);
    return row === undefined ? undefined : this.view.layout.rows[row];
  }

  phases() {
    const { context, view, recording, palette } = this;
    recording.phases.forEach((phase, number) => {
      const next = recording.phases[number + 1];
      const from = number === 0 ? 0 : heightOf(recording, view.layout, phase.from);
      const to = next === undefined ? view.layout.height : heightOf(recording, view.layout, next.from);
      context.fillStyle = palette[phase.name] ?? palette.raised;
      context.fillRect(view.left, from, view.width, Math.max(0, to - from));
    });
  }

  // The row that is chosen, and those that a search has found.
  emphasis(first, last) {
    const { context, view, palette } = this;
    const half = (ROW * view.zoom) / 2;
    for (let row = first; row <= last; row += 1) {
      const isHit = view.hits.has(row);
      if (!isHit && row !== view.chosen) continue;
      context.fillStyle = row === view.chosen ? palette.chosen : palette.mark;
      context.globalAlpha = row === view.chosen ? 1 : 0.55;
      context.fillRect(view.left, view.layout.rows[row] - half, view.width, 2 * half);
      context.globalAlpha = 1;
    }
  }

  lifelines() {
    const { context, view, recording, palette } = this;
    for (const lifeline of view.lifelines) {
      const x = this.x(lifeline.place);
      context.strokeStyle = palette.line;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, view.top);
      context.lineTo(x, Math.min(view.top + view.height, view.layout.height));
      context.stroke();
    }
    for (const gap of recording.gaps) {
      const x = this.x(gap.lifeline);
      if (x === undefined) continue;
      const from = heightOf(recording, view.layout, gap.from);
      const to = Math.max(from + 6, heightOf(recording, view.layout, gap.to));
      if (to < view.top || from > view.top + view.height) continue;
      this.gap(gap, x, from, to);
    }
  }

  gap(gap, x, from, to) {
    const { context, view, palette } = this;
    const isDown = gap.kind === "down";
    const half = isDown ? 7 : 4;
    context.fillStyle = isDown ? palette.down : palette.trouble;
    context.globalAlpha = isDown ? 1 : 0.75;
    context.fillRect(x - half, from, 2 * half, to - from);
    context.globalAlpha = 1;
    if (isDown) {
      context.save();
      context.beginPath();
      context.rect(x - half, from, 2 * half, to - from);
      context.clip();
      context.strokeStyle = palette.line;
      const begin = Math.max(from, view.top - 20);
      const end = Math.min(to, view.top + view.height + 20);
      for (let y = begin - (begin % 7) - 14; y < end + 14; y += 7) {
        context.beginPath();
        context.moveTo(x - half, y + 7);
        context.lineTo(x + half, y - 7);
        context.stroke();
      }
      context.restore();
    }
    this.font(11.5, 600);
    const length = context.measureText(gap.label).width;
    if (to - from > length + 12) {
      // Beside the bar and along it, where the reader is.
      const room = length / 2 + 6;
      const y = Math.max(from + room, Math.min(view.top + view.height / 2, to - room));
      context.save();
      context.translate(x - half - 9, y);
      context.rotate(-Math.PI / 2);
      context.textAlign = "center";
      context.fillStyle = isDown ? palette.dim : palette.fault;
      context.fillText(gap.label, 0, 0);
      context.restore();
    }
  }

  breaks() {
    const { context, view, palette } = this;
    const { breaks } = view.layout;
    const heights = view.breakHeights;
    for (let each = lowerBound(heights, view.top - 20); each < breaks.length; each += 1) {
      const { y, idle } = breaks[each];
      if (y > view.top + view.height + 20) break;
      context.strokeStyle = palette.line;
      context.setLineDash([2, 5]);
      context.beginPath();
      context.moveTo(view.left + GUTTER, y);
      context.lineTo(view.left + view.width, y);
      context.stroke();
      context.setLineDash([]);
      this.font(11.5);
      context.textAlign = "right";
      context.fillStyle = palette.dim;
      context.fillText(`${span(idle)} later`, view.left + GUTTER - 16, y);
    }
  }

  colourOf(message) {
    const { palette, recording } = this;
    if (message.passage === "lost") return palette.bad;
    if (message.faults.length > 0 || message.remark !== "") return palette.fault;
    if (message.inside) return palette.mail;
    const ends = [recording.lifelines[message.from].kind, recording.lifelines[message.to].kind];
    return ends.includes("agent") ? palette.frame : palette.request;
  }

  // The two ends of a message on the page; what is lost ends on its way.
  ends(message) {
    const { view } = this;
    const fromX = this.x(message.from);
    const fromY = this.y(message.left);
    if (fromX === undefined || fromY === undefined) return null;
    const targetX = this.x(message.to);
    if (targetX === undefined) return null;
    const arrivedY = message.arrived === null ? undefined : this.y(message.arrived);
    if (arrivedY !== undefined) return { fromX, fromY, toX: targetX, toY: arrivedY, whole: true };
    const share = message.passage === "lost" ? 0.62 : 0.8;
    return { fromX, fromY, toX: fromX + (targetX - fromX) * share, toY: fromY + 12 * view.zoom, whole: false };
  }

  arrow(message) {
    const ends = this.ends(message);
    if (ends === null) return;
    const { context, view, palette } = this;
    const colour = this.colourOf(message);
    const isHovered = view.hovered?.message === message.place || view.chosenMessages.has(message.place);
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.lineWidth = isHovered ? 2.6 : 1.4;
    context.globalAlpha = message.inside && !isHovered ? 0.7 : 1;
    if (message.inside) context.setLineDash([5, 4]);
    if (message.passage === "under-way") context.setLineDash([1, 4]);
    context.beginPath();
    if (message.from === message.to) {
      const away = 46;
      context.moveTo(ends.fromX, ends.fromY);
      context.bezierCurveTo(ends.fromX - away, ends.fromY + 8, ends.fromX - away, ends.toY - 8, ends.toX, ends.toY);
    } else {
      context.moveTo(ends.fromX, ends.fromY);
      context.lineTo(ends.toX, ends.toY);
    }
    context.stroke();
    context.setLineDash([]);
    if (message.passage === "lost") this.cross(ends.toX, ends.toY, palette.bad);
    else if (ends.whole) this.head(message, ends, colour);
    context.globalAlpha = 1;
  }

  head(message, { fromX, fromY, toX, toY }, colour) {
    const { context, palette } = this;
    const angle = message.from === message.to ? 0.3 : Math.atan2(toY - fromY, toX - fromX);
    const length = 10;
    context.beginPath();
    context.moveTo(toX, toY);
    context.lineTo(toX - length * Math.cos(angle - 0.38), toY - length * Math.sin(angle - 0.38));
    context.lineTo(toX - length * Math.cos(angle + 0.38), toY - length * Math.sin(angle + 0.38));
    context.closePath();
    if (message.passage === "arrived") {
      context.fill();
      return;
    }
    // Nobody took it up: a hollow head, crossed out if nobody ever will.
    context.fillStyle = palette.ground;
    context.fill();
    context.strokeStyle = colour;
    context.stroke();
    if (message.passage === "unheard") this.cross(toX, toY, palette.dim);
  }

  cross(x, y, colour) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 2.4;
    context.beginPath();
    context.moveTo(x - 5, y - 5);
    context.lineTo(x + 5, y + 5);
    context.moveTo(x + 5, y - 5);
    context.lineTo(x - 5, y + 5);
    context.stroke();
  }

  moment(row) {
    const { view, recording } = this;
    const moment = recording.moments[view.layout.shown[row]];
    const y = view.layout.rows[row];
    // Texts stand on a veil of the ground's own colour.
    const phase = recording.phases.findLast((each) => each.from <= moment.at) ?? recording.phases[0];
    const isHit = view.hits.has(row);
    this.veil = row === view.chosen ? this.palette.chosen : isHit ? this.palette.mark : this.palette[phase?.name] ?? this.palette.ground;
    if (moment.kind === "fact" || recording.lifelines[moment.lifeline].kind === "world") {
      this.fact(moment, y);
      return;
    }
    const x = this.x(moment.lifeline);
    if (x === undefined) return;
    this.dot(moment, x, y);
    const leaving = moment.leaving.map((place) => recording.messages[place]);
    if (leaving.length > 0) this.departure(moment, leaving, x, y);
    else if (moment.arriving !== null) this.arrival(moment, recording.messages[moment.arriving], x, y);
    else this.saying(moment, x, y);
  }

  // A fact of the world crosses the page.
  fact(moment, y) {
    const { context, view, palette } = this;
    const isFault = moment.kind === "fault";
    const colour = isFault ? palette.fault : palette.dim;
    context.strokeStyle = colour;
    context.lineWidth = 1.2;
    context.beginPath();
    context.moveTo(view.left + GUTTER, y);
    context.lineTo(view.left + view.width, y);
    context.stroke();
    const label = isFault ? `⚡ ${moment.label}` : moment.label;
    this.text([[label, colour, 600]], view.left + GUTTER + 12, y, "left");
  }

  dot(moment, x, y) {
    const { context, palette } = this;
    context.beginPath();
    if (moment.kind === "fault") {
      context.fillStyle = palette.fault;
      context.moveTo(x, y - 6);
      context.lineTo(x + 6, y);
      context.lineTo(x, y + 6);
      context.lineTo(x - 6, y);
      context.fill();
    } else if (moment.kind === "decision") {
      context.fillStyle = palette.decision;
      context.fillRect(x - 3.5, y - 3.5, 7, 7);
    } else {
      context.fillStyle = moment.kind === "timer" || moment.kind === "routine" ? palette.line : palette.news;
      context.arc(x, y, moment.kind === "message" ? 2.5 : 3.5, 0, 2 * Math.PI);
      context.fill();
    }
  }

  chip(session) {
    return session === null ? [] : [[`${sessionName(session)} `, sessionColour(session, this.view.isDark), 700]];
  }

  departure(moment, leaving, x, y) {
    const { palette } = this;
    const message = leaving[0];
    const targetX = this.x(message.to) ?? x + 1;
    const parts = [...this.chip(message.session ?? moment.session), [message.label, this.colourOf(message), 500]];
    const faults = new Set(leaving.flatMap((each) => each.faults));
    const remarks = new Set(leaving.map((each) => each.remark).filter((remark) => remark !== ""));
    const strange = [...faults].map((fault) => `⚡ ${fault}`);
    for (const remark of remarks) if (!(remark === "lost" && faults.size > 0)) strange.push(remark);
    if (leaving.some((each) => each.passage === "unheard")) strange.push("nobody listens");
    if (strange.length > 0) parts.push([`  ${strange.join(", ")}`, palette.fault, 600]);
    const goesLeft = targetX < x || message.from === message.to;
    this.text(parts, x + (goesLeft ? -9 : 9), y - 6 * this.view.zoom, goesLeft ? "right" : "left");
  }

  // Beyond the lifeline, where its arrow is not; in full only when its departure is out of sight.
  arrival(moment, message, x, y) {
    const { palette, view } = this;
    const fromY = this.y(message.left);
    const isFar = fromY === undefined || y - fromY > 5 * ROW * view.zoom;
    const parts = [];
    if (isFar || view.chosenMessages.has(message.place)) {
      parts.push(...this.chip(moment.session), [message.label, palette.dim, 400]);
    }
    const took = moment.at - this.recording.moments[message.left].at;
    if (took >= BREAK_FROM_MS) parts.push([`  after ${span(took)}`, palette.dim, 600]);
    if (message.passage === "unheard") parts.push(["  nobody listens", palette.dim, 600]);
    if (message.passage === "unread") parts.push(["  left unread", palette.dim, 600]);
    if (parts.length === 0) return;
    const cameFromLeft = (this.x(message.from) ?? 0) < x;
    // At the edges of the page there is room for a name only.
    const room = cameFromLeft ? view.left + view.width - x : x - view.left - GUTTER;
    if (room < 120) parts.splice(0, parts.length, ...this.chip(moment.session));
    this.text(parts, x + (cameFromLeft ? 10 : -10), y, cameFromLeft ? "left" : "right");
  }

  saying(moment, x, y) {
    const { palette, view } = this;
    const colour = { fault: palette.fault, decision: palette.decision, news: palette.news }[moment.kind] ?? palette.dim;
    const label = moment.kind === "fault" ? `⚡ ${moment.label}` : moment.label;
    const parts = [...this.chip(moment.session), [label, colour, moment.kind === "fault" ? 600 : 400]];
    const isLast = x === this.x(view.lifelines.at(-1)?.place) && view.lifelines.length > 1;
    this.text(parts, x + (isLast ? -11 : 11), y, isLast ? "right" : "left");
  }

  // Parts of a line, side by side over a veil, cut where the page ends.
  text(parts, x, y, align) {
    const { context, view } = this;
    context.textAlign = "left";
    const right = view.left + view.width - 24;
    const leftmost = view.left + GUTTER + 2;
    let room = align === "left" ? right - x : x - leftmost;
    const pieces = [];
    let width = 0;
    for (const [text, colour, weight] of parts) {
      this.font(13, weight);
      let shown = text;
      let size = context.measureText(shown).width;
      while (size > room && shown.length > 1) {
        shown = `${shown.slice(0, Math.max(1, Math.floor(shown.length * Math.min(0.95, room / size)) - 1)).trimEnd()}…`;
        size = context.measureText(shown).width;
        if (shown.length <= 2) break;
      }
      if (room <= 8) break;
      pieces.push([shown, colour, weight, size]);
      room -= size;
      width += size;
    }
    let at = align === "left" ? x : x - width;
    const height = 15 * view.zoom;
    context.globalAlpha = 0.8;
    context.fillStyle = this.veil;
    context.fillRect(at - 2, y - height / 2, width + 4, height);
    context.globalAlpha = 1;
    for (const [text, colour, weight, size] of pieces) {
      this.font(13, weight);
      context.fillStyle = colour;
      context.fillText(text, at, y + 0.5);
      at += size;
    }
  }

  // Times stand once for each tick; the phase runs along the edge.
  gutter(first, last) {
    const { context, view, recording, palette } = this;
    context.fillStyle = palette.edge;
    context.fillRect(view.left + GUTTER - 8, view.top, 1, view.height);
    this.font(12);
    context.textAlign = "right";
    let before = first > 0 ? recording.moments[view.layout.shown[first - 1]].at : null;
    for (let row = first; row <= last; row += 1) {
      const { at } = recording.moments[view.layout.shown[row]];
      if (at !== before) {
        context.fillStyle = palette.dim;
        context.fillText(clock(recording, at), view.left + GUTTER - 16, view.layout.rows[row]);
      }
      before = at;
    }
    recording.phases.forEach((phase, number) => {
      const next = recording.phases[number + 1];
      const from = number === 0 ? 0 : heightOf(recording, view.layout, phase.from);
      const to = next === undefined ? view.layout.height : heightOf(recording, view.layout, next.from);
      if (to < view.top || from > view.top + view.height) return;
      const begin = Math.max(from, view.top);
      const end = Math.min(to, view.top + view.height);
      if (end - begin < 70) return;
      context.save();
      context.translate(view.left + 11, (begin + end) / 2);
      context.rotate(-Math.PI / 2);
      context.textAlign = "center";
      this.font(11.5, 600);
      context.fillStyle = palette.dim;
      context.fillText(phase.name, 0, 0);
      context.restore();
    });
  }

  // What lies under the pointer: a message, or else the moment of the row.
  find(x, y) {
    const { view, recording } = this;
    if (!view || view.layout.rows.length === 0) return null;
    const { rows, shown } = view.layout;
    const near = lowerBound(rows, y);
    const row = near > 0 && (near === rows.length || y - rows[near - 1] < rows[near] - y) ? near - 1 : near;
    const isOnRow = Math.abs(rows[row] - y) <= (ROW * view.zoom) / 2;
    let best = null;
    for (const place of messagesBetween(view.blocks, Math.max(0, near - 2), Math.min(rows.length - 1, near + 2))) {
      const ends = this.ends(recording.messages[place]);
      if (ends === null || ends.fromX === ends.toX) continue;
      const part = (x - ends.fromX) / (ends.toX - ends.fromX);
      if (part < 0 || part > 1) continue;
      const away = Math.abs(ends.fromY + (ends.toY - ends.fromY) * part - y);
      if (away < 5 && (best === null || away < best.away)) best = { away, place };
    }
    if (best !== null) {
      const message = recording.messages[best.place];
      return { row: view.layout.rowOf.get(message.left), message: best.place };
    }
    if (!isOnRow) return null;
    const moment = recording.moments[shown[row]];
    const message = moment.leaving[0] ?? moment.arriving;
    return { row, message: message ?? null };
  }
}

// The whole run in a strip: phases, faults, what a search found, and where the page is.
function paintOverview(canvas, view, palette) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const scale = height / Math.max(1, view.layout.height);
  context.fillStyle = palette.raised;
  context.fillRect(0, 0, width, height);
  // One mark for each line of pixels is enough.
  let marked = -1;
  const mark = (row, colour) => {
    const y = Math.round(view.layout.rows[row] * scale);
    if (y === marked) return;
    marked = y;
    context.fillStyle = colour;
    context.fillRect(2, y, width - 4, 1.5);
  };
  for (const { row, isLost } of view.troubles) mark(row, isLost ? palette.bad : palette.fault);
  marked = -1;
  for (const row of view.hits) mark(row, palette.frame);
  context.strokeStyle = palette.text;
  context.strokeRect(0.5, view.top * scale + 0.5, width - 1, Math.max(6, view.height * scale));
}
