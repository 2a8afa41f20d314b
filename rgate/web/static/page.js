// rgate's pages. It shows what the documents under /_rgate/ say (docs/http-pages.md), and decides nothing itself.
// No string reaches the document but through html``, which escapes it: paths and names come from strangers.
// What is not printable, such as marks that turn the direction of text, is shown as an escape.
"use strict";
(() => {
const { entries } = Object, json = JSON.stringify, root = document.documentElement, $ = id => document.getElementById(id);
root.classList.add("js");
// Before there is a body, so that nothing flashes.
try { if (localStorage.theme) root.dataset.theme = localStorage.theme; } catch {}

class Safe { constructor(text) { this.text = text; } }
const esc = v => v instanceof Safe ? v.text : Array.isArray(v) ? v.map(esc).join("") : v == null || v === false ? ""
  : String(v).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, c => "\\u" + c.codePointAt(0).toString(16).padStart(4, 0));
const html = (parts, ...values) => new Safe(parts.reduce((all, part, i) => all + esc(values[i - 1]) + part));
const rich = text => new Safe(esc(text).replace(/`(.*?)`/g, "<code>$1</code>"));
const code = text => html`<code>${new Safe(esc(text).replace(/\//g, "/<wbr>"))}</code>`;
const dim = v => html`<span class="dim">${v}</span>`;
const glyph = level => html`<i class="g ${level}" aria-hidden="true">${GLYPH[level]}</i>`;
const svg = (kind, height, shapes) => html`<svg class="${kind}" viewBox="0 0 100 ${height}" preserveAspectRatio="none" aria-hidden="true">${shapes}</svg>`;
const button = (does, arg, text, more) => html`<button data-do="${does}" data-arg="${arg.big ? arg : json(arg)}"${more}>${text}</button>`;
const command = text => text && html`<span class="cmd">${code(text)}${button("copy", text, "Copy", html` aria-label="Copy ${text}"`)}</span>`;
const fact = f => html`<div>${glyph(f.level)}<dt>${f.is}</dt><dd>${rich(f.text.replace("{ago}", span(now() - f.at)))}</dd></div>`;

// Makes el's content that of safe and touches only what differs: focus and place stay.
function morph(el, safe) {
  const fresh = document.createElement("template");
  fresh.innerHTML = safe.text;
  same(el, fresh.content);
}
function same(old, fresh) {
  const keyed = new Map([...old.children].map(c => [c.dataset.key, c]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const key = next.dataset?.key, have = key ? keyed.get(key) : at?.dataset?.key ? null : at;
    if (have?.nodeName !== next.nodeName) { old.insertBefore(next, at); continue; }
    if (have === at) at = at.nextSibling; else old.insertBefore(have, at);
    if (have.nodeType !== 1) { if (have.data !== next.data) have.data = next.data; continue; }
    for (const { name, value } of next.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    for (const { name } of [...have.attributes]) if (!next.hasAttribute(name)) have.removeAttribute(name);
    same(have, next);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}

// --- from figures to text: a dash where nothing was counted, never a nought ---
const NB = "\u202f", DASH = "–";
const int = v => Math.round(v).toLocaleString("en");
const several = (n, word) => `${int(n)} ${word}${n === 1 ? "" : "s"}`;
const num = v => v == null ? DASH : v && v < 0.005 ? "<0.01" : v && v < 10 ? v.toFixed(v < 1 ? 2 : 1) : int(v);
const pct = v => v == null ? DASH : (v && v < 1e-4 ? "<0.01" : (100 * v).toFixed(v && v < 0.01 ? 2 : v < 0.1 ? 1 : 0)) + NB + "%";
const ms = v => v == null ? DASH : v < 999.5 ? v.toFixed(v < 10 ? 1 : 0) + NB + "ms" : (v / 1000).toFixed(v < 9950 ? 2 : 1) + NB + "s";
const span = s => { const [size, unit] = s < 90 ? [1, "s"] : s < 5400 ? [60, "min"] : s < 129600 ? [3600, "h"] : [86400, "d"]; return Math.max(0, Math.round(s / size)) + NB + unit; };
const local = t => new Date(t * 1000).toLocaleString("sv"); // 2026-11-26 14:32:04
const clock = (t, days) => local(t).slice(days ? 5 : 11, 16);
const time = t => now() - t < 64800 ? local(t).slice(11) : clock(t, true);
const GLYPH = { well: "●", degraded: "▲", down: "■", stale: "◌", waiting: "○", lost: "◌", ok: "●", warn: "▲", bad: "■", info: "○" };
const MARK = { in: "▲", out: "▼", config: "◆", docker: "■" };

const S = { zoom: null, skew: 0, link: "live", sort: ["errors", -1], only: {}, fails: [], failures: 12, routes: 12, refused: 0 };
const now = () => Date.now() / 1000 + S.skew;
const ask = (url, type) => fetch(url, { headers: { Accept: type } });
const get = async url => { const r = await ask(url, "application/json"); return r.ok ? r.json() : Promise.reject(r.status); };
// The main part of one of the server's pages, or of what it says in its place.
const page = async url => new Safe(new DOMParser().parseFromString(await (await ask(url, "text/html")).text(), "text/html").querySelector("main").innerHTML);
const count = total => total.requests_count.success + total.requests_count.error;
const within = e => !S.zoom || (e.at >= S.zoom[0] && e.at <= S.zoom[1]);
// A list that someone points at, or has the focus in, holds still.
const held = el => el.matches(":hover") || el.contains(document.activeElement);
const say = text => { $("say").textContent = text; };
const choice = () => document.querySelector(`#windows [data-arg="${S.window}"]`);
const sum = (list, of) => list.reduce((n, x) => n + of(x), 0);
const more = (id, list) => morph($(id + "-more"), list.length > S[id] ? button("more", id, `Show all ${list.length}`) : dim(`${list.length} shown`));
const errors = (n, of, only, much) => n ? button("show", only, html`${much && glyph("warn")}${int(n)}`, html` class="link ${much && "bad"}" aria-label="${int(n)} errors: show them"`) : of ? "0" : DASH;

// 1 verdict and freshness
function verdict() {
  const lost = S.link === "lost" && { level: "lost", word: "No contact", headline: "This page has lost the gateway; all below is old.", findings: [{ level: "bad", text: `Nothing came since ${time(S.heard)}.`, do: "See whether rgate runs, and what it says.", command: root.dataset.doctor }] };
  const v = lost || S.verdict, list = v?.findings;
  if (!v) return;
  if (v.level !== S.said && S.said) say(`${v.word}. ${v.headline.replaceAll("`", "")}`);
  S.said = v.level;
  document.title = `${GLYPH[v.level]} ${v.word} · rgate`;
  $("verdict").dataset.level = v.level;
  morph($("verdict-text"), html`<h1>${glyph(v.level)}<span><b>${v.word}.</b> ${rich(v.headline)}</span></h1>
    <ul class="findings">${list.slice(0, 3).map((f, i) => html`<li>${glyph(f.level)}<div><p>${rich(f.text)} ${dim(rich(f.do))}</p>${(!i || f.level !== "info" || v.level === "waiting") && html`<p class="acts">${command(f.command)}${f.show && button("show", f.show, "Show these")}</p>`}</div></li>`)}</ul>${list.length > 3 && dim(`${list.length - 3} more under Backends`)}`);
}
function freshness() {
  const [level, text, at] = S.link === "lost" ? ["bad", "no word for {ago}", S.heard] : S.paused ? ["warn", "paused {ago} ago", S.paused] : S.refused ? ["info", "asked for each 5 s"] : ["ok", "live, each second"];
  morph($("fresh"), html`${[{ level, is: "Page", text, at }, ...S.link === "lost" ? [{ level: "info", is: "All else", text: "unknown since then" }] : S.verdict?.freshness ?? []].map(fact)}`);
}

// 2 figures
function spark(list, second, kind) {
  const top = Math.max(...list, ...(kind === "ticks" ? [] : second), 1e-9), x = (i, a) => (100 * i / (a.length - 1)).toFixed(1);
  const line = a => a.map((v, i) => v == null ? "" : `${i && a[i - 1] != null ? "L" : "M"}${x(i, a)} ${(23 - 22 * v / top).toFixed(1)}${i && a[i - 1] != null ? "" : "h0"}`).join("");
  const ticks = a => a.map((v, i) => v ? `M${x(i, a)} 24V${20 - 12 * v / Math.max(...a)}` : "").join("");
  return svg(`spark ${kind}`, 24, html`<path d="${line(list)}"/><path d="${kind === "ticks" ? ticks(second) : line(second)}"/>`);
}
// The running bucket is shorter than the others; its rate must not dip for that.
const per = (v, s) => v == null ? null : v / s;
const seconds = (s, i) => i < s.requests.length - 1 ? s.step_s : Math.min(s.step_s, Math.max(1, s.now - s.start - i * s.step_s));
const rates = s => s.requests.map((v, i) => per(v, seconds(s, i)));
function figures() {
  const s = S.series, t = s?.total ?? S.total;
  if (!t) return;
  const n = count(t), was = s && count(s.before.total) && s.before.total, length = +choice().dataset.s, past = s ? length - s.step_s + seconds(s, s.requests.length - 1) : length;
  const figure = (title, kind, show, of, line) => {
    const is = n ? of(t, past) : null, old = was ? of(was, length) : null, [value, unit] = show(is).split(NB), change = old ? is / old - 1 : 0, worse = kind !== "req" && change > 0.25 && (kind !== "err" || is > 0.001);
    return html`<div><dt>${title}</dt><dd><b>${value}</b> <span class="unit">${unit}</span> <span class="was ${worse && "warn"}">${worse && "▲ "}${!s || !n ? "" : old == null ? "nothing before" : `${Math.abs(change) < 0.02 ? "as" : change > 0 ? "up from" : "down from"} ${show(old)}`}</span>${s && spark(line(s), line(s.before), kind)}</dd></div>`;
  };
  const latency = q => figure(`${q.slice(1)} % answered within`, "lat", ms, t => t.latency_ms[q], s => s[q]);
  morph($("figures-list"), html`${figure("Requests a second", "req", num, (t, l) => count(t) / l, s => s.step_s ? rates(s) : s.requests.map(v => per(v, S.series.step_s)))}
    ${figure("Error share", "err", pct, t => t.requests_count.error / count(t), s => s.requests.map((v, i) => v ? s.errors[i] / v : null))}${latency("p95")}${latency("p99")}`);
  $("figures-note").textContent = `${n ? `${several(n, "request")}, ${several(t.requests_count.error, "error")}` : "Nothing counted"} in the last ${choice().textContent}`;
}

// 3 charts
let plots = [];
const colour = name => { $("probe").style.color = `var(--${name})`; return getComputedStyle($("probe")).color; };
const font = r => `${12 * r}px ${getComputedStyle(document.body).fontFamily}`;
const middle = i => S.series.start + i * S.series.step_s + seconds(S.series, i) / 2;
const marks = () => S.timeline.filter(e => MARK[e.kind] && !(e.kind === "docker" && e.level === "ok"));
const STEPS = [-1, 0, 1, 2, 3, 4, 5].flatMap(p => [1, 2, 5].map(k => +(k * 10 ** p).toPrecision(1)));
function charts() {
  const s = S.series, c = colour;
  if (!window.uPlot || !s) return;
  const x = s.requests.map((_, i) => middle(i)), some = list => list.map(v => v ? v * 60 / s.step_s : null);
  const data = [[x, s.before.requests.map(v => per(v, s.step_s)), rates(s)], [x, some(s.errors), some(s.own)], [x, s.p50, s.p95, s.p99]];
  if (plots.length) { if (!plots.some(u => u.select.width)) plots.forEach((u, i) => u.setData(data[i])); return; }
  const axis = { stroke: c("dim"), font: font(1), grid: { stroke: c("line"), width: 1 }, ticks: { show: false }, gap: 4 };
  const alone = (u, k) => u.data[k].flatMap((v, i, a) => v != null && a[i - 1] == null && a[i + 1] == null ? [i] : []); // no line would show them
  const line = (name, width, extra) => ({ stroke: c(name), width, points: { show: true, size: 2 * width + 1, fill: c(name), filter: alone }, ...extra }), bar = name => line("bad", 1, { fill: c(name), paths: uPlot.paths.bars({ size: [0.72, 14] }) });
  const make = (i, id, height, y, below, series, extra) => new uPlot({
    width: $(id).clientWidth, height, padding: [10, 30, below ? 0 : 6, 0], legend: { show: false }, series: [{}, ...series],
    cursor: { y: false, sync: { key: "rgate" }, drag: { x: true, y: false, setScale: false } },
    scales: { x: { range: () => S.zoom || [S.series.start, Math.max(S.series.now, S.series.start + 60)] }, y },
    axes: [{ ...axis, show: below, size: 20, space: s.step_s > 60 ? 92 : 64, values: (u, list) => list.map(t => clock(t, S.series.step_s > 60)) }, { ...axis, size: 46, space: 24, values: (u, list) => list.map(v => v == null ? "" : i > 1 ? ms(v) : i && v % 1 ? "" : String(v)), ...extra }],
    hooks: { setCursor: [point], setSelect: [choose], draw: [u => decorate(u, i)] },
  }, data[i], $(id));
  const from0 = least => ({ range: (u, low, high) => [0, Math.max(least, (high || 0) * 1.15)] });
  plots = [
    make(0, "chart-requests", 136, from0(1), false, [line("ghost", 1, { dash: [2, 3] }), line("req", 1.75, { fill: c("req-soft") })]),
    make(1, "chart-errors", 84, from0(4), true, [bar("err-soft"), bar("bad")]),
    make(2, "chart-latency", 226, { distr: 3, range: (u, low, high) => low == null ? [1, 100] : [STEPS.findLast(v => v <= low) ?? 0.1, STEPS.find(v => v >= high * 1.05) ?? 5e5] }, true, [line("p50", 1.25), line("p95", 1.75), line("p99", 1.5, { dash: [5, 3] })], { splits: (u, a, low, high) => STEPS.filter(v => v >= low && v <= high), filter: (u, list) => list }),
  ];
  point(plots[0], true);
}
const redraw = () => { plots.forEach(u => u.destroy()); plots = []; charts(); };
function decorate(u, i) {
  const ctx = u.ctx, r = devicePixelRatio, { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.font = font(r);
  ctx.strokeStyle = ctx.fillStyle = colour("dim");
  ctx.lineWidth = r; ctx.setLineDash([2 * r, 3 * r]); ctx.textAlign = "center";
  for (const e of marks()) {
    const x = Math.round(u.valToPos(e.at, "x", true)) + 0.5;
    if (x < left || x > left + width) continue;
    ctx.beginPath(); ctx.moveTo(x, top); ctx.lineTo(x, top + height); ctx.stroke();
    if (i !== 1) ctx.fillText(MARK[e.kind], x, top - r);
  }
  ctx.textAlign = "left";
  let free = 1e9;
  for (const [k, name] of i === 2 ? ["p50", "p95", "p99"].entries() : []) {
    const last = u.data[k + 1].findLast((v, j) => v && u.data[0][j] <= u.scales.x.max);
    if (!last) continue;
    free = Math.min(u.valToPos(last, "y", true) + 4 * r, free - 13 * r);
    ctx.fillStyle = colour(name); ctx.fillText(name, left + width + 4 * r, free);
  }
  ctx.restore();
}
function point(u, force) {
  const i = u.cursor.idx, s = S.series;
  if (i === S.at && force !== true) return;
  S.at = i;
  const near = marks().find(e => Math.abs(e.at - middle(i)) <= s.step_s);
  $("reading").textContent = i == null ? S.zoom ? `${S.zoom.map(time).join(" to ")}, in the lists below too` : "Point to read, drag to choose a stretch"
    : `${clock(s.start + i * s.step_s)}  ${num(rates(s)[i])} requests/s, ${s.errors[i]} errors, ${s.own[i]} of them by rgate  ·  p50 ${ms(s.p50[i])}, p95 ${ms(s.p95[i])}, p99 ${ms(s.p99[i])}${near ? `  ·  ${near.text.replaceAll("`", "")}` : ""}`;
}
const select = (u, a, b) => u.setSelect({ left: Math.min(a, b), width: Math.abs(a - b), top: 0, height: u.over.clientHeight }, false);
function choose(u) {
  const { left, width } = u.select, stretch = [left, left + width].map(x => u.posToVal(x, "x"));
  if (width < 6) return;
  for (const p of plots) select(p, 0, 0);
  zoom(stretch);
}
function zoom(stretch) {
  S.zoom = stretch; S.anchor = null;
  $("unzoom").hidden = !stretch;
  charts(); if (plots[0]) point(plots[0], true);
  say($("reading").textContent);
  failures(true); timeline();
}
function chartKeys(e) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key], last = S.series.requests.length - 1;
  if (e.key === "Enter" && S.anchor != null) choose(plots[0]);
  if (!step || !plots.length) return;
  e.preventDefault();
  const old = S.at ?? last, i = Math.max(0, Math.min(last, old + step));
  S.anchor = e.shiftKey ? S.anchor ?? old : null;
  for (const u of plots) {
    const x = u.valToPos(middle(i), "x");
    u.setCursor({ left: x, top: 10 });
    select(u, x, u.valToPos(middle(S.anchor ?? i), "x"));
  }
  say($("reading").textContent);
}

// 4 routes
function routes(force) {
  const box = $("routes-body");
  if (!S.byRoute || (!force && held(box))) return;
  const owner = {}, [by, way] = S.sort;
  for (const [name, b] of entries(S.world?.backends ?? {})) for (const prefix of b.routes) owner[prefix] = name;
  const none = { total: { requests_count: { success: 0, error: 0 }, latency_ms: {} } }, unasked = S.world ? [...Object.keys(owner), ""].map(route => [route, none]) : [];
  const all = entries({ ...Object.fromEntries(unasked), ...S.byRoute.names }).map(([route, v]) => { const rate = count(v.total); return { route, v, rate, errors: v.total.requests_count.error, p95: rate ? v.total.latency_ms.p95 : -1 }; }), half = sum(all, r => r.errors) / 2;
  const list = all.filter(r => `${r.route} ${owner[r.route]}`.includes($("routes-find").value.trim())).sort((a, b) => way * (a[by] < b[by] ? -1 : a[by] > b[by] ? 1 : way * (b.rate - a.rate)));
  $("routes-find").hidden = all.length < 13;
  for (const b of document.querySelectorAll("[data-do=sort]")) b.parentNode.ariaSort = by !== b.dataset.arg ? "none" : way > 0 ? "ascending" : "descending";
  morph(box, html`${list.slice(0, S.routes).map(r => html`<tr data-key="${r.route || "-"}"><th scope="row">${code(r.route || "no route")} ${dim(r.route ? owner[r.route] && `→\u00a0${owner[r.route]}` : "the default response")}</th><td>${r.rate ? num(r.rate / choice().dataset.s) : DASH}</td>
    <td><small>${r.errors ? pct(r.errors / r.rate) : ""}</small>${S.world ? errors(r.errors, r.rate, { route: r.route }, r.errors && (r.errors >= half || r.errors >= r.rate / 100)) : r.errors}</td><td>${r.rate ? ms(r.p95) : DASH}</td><td class="wide">${r.v.requests && spark(rates({ ...S.byRoute, ...r.v }), r.v.errors, "ticks")}</td></tr>`)}`);
  more("routes", list);
}

// 5 backends
const members = b => [...b.containers, ...(b.addresses ?? []).map(a => ({ ...a, name: a.address, address: "", candidate: true }))];
const lacks = c => html`<p>has ${c.labels.has} of ${c.labels.of} labels: ${c.labels.missing.map((m, i) => html`${i ? "; " : ""}${m.found == null ? html`<code>${m.key}<del> missing</del></code>` : m.found.includes("=") ? html`<code><del>${m.found}</del></code>` : html`<code>${m.key}<del>=${m.found}</del></code>`}, wanted <code>${m.key}<ins>=${m.wanted}</ins></code>`)}</p>`;
function backends() {
  const w = S.world;
  if (!w) return;
  const list = entries(w.backends).sort(([, a], [, b]) => !!b.reason - !!a.reason), half = sum(list.flatMap(([, b]) => members(b)), c => c.errors) / 2;
  $("backends-note").textContent = `${list.filter(([, b]) => !b.reason).length} of ${list.length} have containers${w.docker.connected || !w.docker.last_list ? "" : `, as of ${time(w.docker.last_list)}`}`;
  morph($("backends-body"), html`${list.map(([name, b]) => { const all = sum(members(b), c => c.requests); return html`<tr data-key="${name}" class="head"><th scope="colgroup" colspan="5">${glyph(b.reason ? "bad" : "ok")}<b>${name}</b> ${b.candidates.length} in ${dim([(b.match_labels?.length ? b.match_labels : b.urls ?? []).map(l => html`<code>${l}</code> `), b.policy])}${b.reason && html`<p class="bad"><b>503 ${b.reason}</b> for each request to it</p>`}</th></tr>
    ${members(b).map(c => html`<tr data-key="${name}/${c.name}" class="${!c.candidate && "out"}"><th scope="row">${glyph(c.level)}<span>${c.name}</span> ${dim([c.says, " ", c.address && html`<code>${c.address}</code>`])}${c.left_out === "labels" ? lacks(c) : c.detail && html`<p>${rich(c.detail)}</p>`}</th>
      <td>${c.requests ? html`<span class="share">${svg("", 6, html`<rect class="all" width="100" height="6"/><rect width="${100 * c.requests / all}" height="6"/>`)}${pct(c.requests / all)}</span>` : DASH}</td><td>${c.candidate ? c.in_flight : DASH}</td><td>${errors(c.errors, c.requests, { container: c.name }, c.errors >= half)}</td><td class="wide">${ms(c.p95)}</td></tr>`)}`; })}`);
}

// 6 failures and their stories
const wears = (f, k) => f[k] ?? (k === "reason" ? `status ${f.status}` : "");
const matches = f => within(f) && Object.keys(S.only).every(k => wears(f, k) === S.only[k]);
const title = r => html`<span class="status ${r.by}"><b>${r.status}</b> ${r.reason ?? `by ${r.by}`}</span> <span class="what">${r.method} ${code(r.target)}</span>`;
function failures(force) {
  const box = $("failures-list");
  if (!force && held(box)) return;
  const stretch = S.fails.filter(within), list = S.fails.filter(matches), groups = new Map(), mine = json(S.only), all = mine === "{}";
  for (const f of stretch) { const key = json({ reason: wears(f, "reason"), container: wears(f, "container") }); groups.set(key, (groups.get(key) ?? 0) + 1); }
  const top = [...groups].sort((a, b) => b[1] - a[1]).slice(0, 5);
  if (!all && !top.some(([key]) => key === mine)) top.unshift([mine, list.length]);
  const chip = (key, on, name, n) => button("show", on ? "{}" : key, html`${name} <b>${n}</b>`, html` data-key="${key}" aria-pressed="${on}"`);
  morph($("failures-groups"), html`${chip("{}", all, "All", stretch.length)}${top.map(([key, n]) => chip(key, key === mine, Object.values(JSON.parse(key)).filter(Boolean).join(" · ") || "no route", n))}`);
  morph(box, html`${list.slice(0, S.failures).map(f => html`<li data-key="${f.id} ${f.at}"><a href="/_rgate/requests/${encodeURIComponent(f.id)}" data-do="story" data-arg="${f.id}"><time>${time(f.at)}</time> ${title(f)} ${dim(f.container || f.backend)} ${dim(ms(f.ms))}</a></li>`)}`);
  more("failures", list);
}
async function story(id) {
  try { morph($("story-body"), await page(`/_rgate/requests/${encodeURIComponent(id)}`)); } catch { return say("The gateway did not answer"); }
  S.story = id;
  if (!$("story").open) $("story").showModal();
}

// 7 explain
async function explain() {
  try { morph($("ex-out"), await page(`/_rgate/explain?method=${$("ex-method").value}&target=${encodeURIComponent($("ex-target").value.trim())}`)); } catch { say("The gateway did not answer"); }
}

// 8 timeline
function timeline() {
  const list = S.timeline.filter(within).slice(0, 40);
  morph($("timeline-list"), html`${list.map(e => html`<li data-key="${e.at + e.text}"><time>${time(e.at)}</time>${glyph(e.level)}<div>${rich(e.text)} ${dim(rich(e.why))}</div></li>`)}${!list.length && html`<li class="dim">Nothing in this stretch</li>`}`);
}

// --- live ---
let stop = () => {};
const admin = () => root.dataset.admin === "yes";
async function load() {
  const { window } = S, q = `?window=${window}`;
  for (const a of $("windows").children) a.toggleAttribute("aria-current", a === choice());
  if (!admin()) return visitor();
  try {
    const all = await Promise.all(["verdict", `series${q}`, `series${q}&by=route`, `backends${q}`, "requests?failed=1&limit=1000", "timeline"].map(name => get(`/_rgate/${name}`)));
    if (window !== S.window) return; // another one was chosen meanwhile
    S.link = "live"; S.skew = all[3].now - Date.now() / 1000; S.heard = now(); S.series = all[1]; S.fails = all[4].requests; S.timeline = all[5].events;
    on.verdict(all[0]); on.backends(all[3]); on.routes(all[2]);
    freshness(); figures(); charts(); failures(); timeline();
  } catch { S.link = "lost"; verdict(); }
  if (Date.now() - S.refused > 60000) S.refused = 0;
  stop(); stop = S.refused ? again() : live();
}
// Where no stream is to be had (there are too many, or something between holds it back), ask again and again.
function again() {
  const timer = setTimeout(() => { if (S.paused) stop = again(); else load(); }, 5000);
  return () => clearTimeout(timer);
}
async function visitor() {
  clearTimeout(S.poll); S.poll = setTimeout(visitor, 5000);
  const q = `?window=${S.window}`;
  if (!S.paused) try {
    S.total = await get(q);
    S.byRoute = { names: Object.fromEntries(entries(await get(`${q}&by=route`)).map(([name, total]) => [name, { total }])) };
    root.dataset.link = "live"; figures(); routes();
  } catch { root.dataset.link = "lost"; }
}
const on = {
  tick(t) {
    const s = S.series, i = Math.round((t.bucket.t - s.start) / s.step_s), last = s.requests.length - 1;
    if (i < last || i > last + 1) return load(); // the machine slept
    for (const k of ["requests", "errors", "own", "p50", "p95", "p99"]) { if (i > last) { s.before[k].push(s[k].shift()); s.before[k].shift(); s[k].push(0); } s[k][last] = t.bucket[k]; }
    if (i > last) s.start += s.step_s;
    s.now = t.now; s.total = t.total; S.verdict.freshness = t.freshness;
    figures(); charts();
  },
  verdict(v) { S.verdict = v; verdict(); },
  backends(w) { S.world = w; backends(); },
  routes(r) { S.byRoute = r; routes(); },
  failure(f) { if (f.more) return missed(); S.fails = [f, ...S.fails.filter(x => x.id !== f.id || x.at !== f.at)].slice(0, 1000); failures(); },
  // What happened again comes anew, with how often: in the place of the line that it is told in.
  timeline(e) { if (e.more) return missed(); S.timeline = [e, ...S.timeline.filter(x => x.since !== e.since || x.kind !== e.kind || x.text !== e.text)].slice(0, 1000); timeline(); },
};
// There was more than is told one by one, or the stream was broken: look, but not each second.
function missed() {
  S.missed ??= setTimeout(async () => {
    S.missed = null;
    try { [{ requests: S.fails }, { events: S.timeline }] = await Promise.all(["requests?failed=1&limit=1000", "timeline"].map(name => get(`/_rgate/${name}`))); failures(); timeline(); } catch {}
  }, 2000);
}
function live() {
  const hear = (event, data) => { S.heard = now(); if (S.link === "lost") load(); else if (!S.paused) on[event](data); };
  const stream = new EventSource(`/_rgate/live?window=${S.window}`);
  const refused = () => { stream.close(); S.refused = Date.now(); stop = again(); freshness(); };
  let opened = 0;
  stream.onopen = () => { if (opened++) missed(); };
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) refused(); };
  stream.addEventListener("full", refused);
  for (const event in on) stream.addEventListener(event, e => hear(event, JSON.parse(e.data)));
  return () => stream.close();
}

const act = {
  async window(key) { S.window = key; S.zoom = null; history.replaceState(null, "", `?window=${key}`); if (admin()) $("unzoom").hidden = true; await load(); redraw(); },
  pause(_, b) { S.paused = S.paused ? 0 : now(); b.ariaPressed = !!S.paused; load(); },
  theme() { const is = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"); root.dataset.theme = is === "dark" ? "light" : "dark"; redraw(); try { localStorage.theme = root.dataset.theme; } catch {} },
  unzoom() { zoom(null); $("plots").focus(); },
  sort(key) { S.sort = [key, S.sort[0] === key ? -S.sort[1] : key === "route" ? 1 : -1]; routes(true); },
  more(id) { S[id] = Infinity; ({ routes, failures })[id](true); },
  show(only) { S.only = Object.fromEntries(entries(JSON.parse(only)).filter(([, v]) => v != null)); S.failures = 12; failures(true); $("failures").scrollIntoView({ block: "nearest" }); },
  story,
  step(way) { const list = S.fails.filter(matches); let i = list.findIndex(f => f.id === S.story); do i += +way; while (list[i]?.id === S.story); if (list[i]) story(list[i].id); },
  close() { $("story").close(); },
  again(pair) { [$("ex-method").value, $("ex-target").value] = JSON.parse(pair); $("story").close(); explain(); $("ex-target").focus(); },
  async copy(text, b) {
    try { await navigator.clipboard.writeText(text); say("Copied"); b.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(b.previousSibling); say("Selected: copy it with the keyboard"); }
    setTimeout(() => { b.textContent = "Copy"; }, 1500);
  },
};
document.addEventListener("DOMContentLoaded", async () => {
  const hear = (el, event, does) => el?.addEventListener(event, does);
  // A link leads elsewhere by itself: in a new tab, and from pages that have nothing to show it in.
  hear(document, "click", e => { const b = e.target.closest("[data-do]"); if (b && !(b.href && (e.ctrlKey || e.metaKey || e.shiftKey || !$("windows")))) { e.preventDefault(); act[b.dataset.do](b.dataset.arg, b); } else if (e.target === $("story")) act.close(); });
  hear(document, "keydown", e => { if (e.key === "Escape" && S.zoom && !$("story").open) zoom(null); });
  if (!$("windows")) return;
  S.window = document.querySelector("#windows [aria-current]").dataset.arg;
  for (const b of document.querySelectorAll("thead button")) b.disabled = false;
  hear($("story"), "close", () => document.querySelector(`#failures-list [data-arg="${CSS.escape(S.story)}"]`)?.focus());
  hear($("plots"), "keydown", chartKeys);
  hear($("ex-form"), "submit", e => { e.preventDefault(); explain(); });
  hear($("routes-find"), "input", () => routes(true));
  for (const media of ["(prefers-color-scheme: dark)", "print"]) hear(matchMedia(media), "change", redraw);
  if (!admin()) return load();
  new ResizeObserver(() => plots.forEach(u => u.setSize({ width: u.root.parentElement.clientWidth, height: u.height }))).observe($("plots"));
  if (!window.uPlot) $("charts").classList.add("off");
  await load();
  setInterval(() => { if (S.link === "live" && now() - S.heard > (S.refused ? 15 : 5)) { S.link = "lost"; verdict(); } else if (S.link === "lost" && !(Date.now() / 1000 % 5 | 0)) load(); root.dataset.link = S.link; freshness(); }, 1000);
});
})();
