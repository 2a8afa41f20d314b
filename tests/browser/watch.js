// Runs before any script of a page, and tells tests by window.seen what nobody sees.
(() => {
  const LIVE = new Set(["tick", "verdict", "backends", "routes", "failure", "timeline"]);
  const seen = window.seen = { heard: {}, liveAt: null, refused: [], shifts: [] };
  // What the Content-Security-Policy refuses.
  addEventListener("securitypolicyviolation", e => seen.refused.push(`${e.effectiveDirective} ${e.blockedURI}`));
  // What moved, unless somebody had just pressed something; when, in ms since the page was opened. That what came
  // last stands above what came before, in a list, is no move.
  const isNews = source => source.node?.parentElement?.closest("#failures-list, #timeline-list");
  new PerformanceObserver(list => {
    for (const e of list.getEntries().filter(e => !e.hadRecentInput && !e.sources.every(isNews))) {
      seen.shifts.push({ at: e.startTime, by: e.value, of: e.sources.map(s => s.node?.outerHTML ?? s.node?.data) });
    }
  }).observe({ type: "layout-shift", buffered: true });
  // How often each event of the stream came, and when the first did.
  const listen = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (name, ...rest) {
    if (LIVE.has(name)) listen.call(this, name, () => {
      seen.heard[name] = (seen.heard[name] ?? 0) + 1;
      seen.liveAt ??= performance.now();
    });
    return listen.call(this, name, ...rest);
  };
})();
