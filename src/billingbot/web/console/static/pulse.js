// News from the server for every part that listens by hx-ext="sse": none while nobody looks at the page, since a
// browser gives all pages of one console six connections together; and a page that hears no more says so.
"use strict";

class News {
  constructor(url) {
    this.url = url;
    this.heard = [];
    this.onopen = this.onerror = null;
    this.source = null;
    this.shut = false;
    this.turn = () => (document.hidden ? this.rest() : this.listen());
    document.addEventListener("visibilitychange", this.turn);
    this.turn();
  }
  get readyState() {
    return this.shut ? EventSource.CLOSED : EventSource.OPEN;
  }
  listen() {
    if (this.source || this.shut) return;
    this.source = new EventSource(this.url);
    this.source.onopen = (event) => {
      tell(false);
      if (this.onopen) this.onopen(event);
    };
    this.source.onerror = () => {
      // The browser comes back by itself after a break; a refusal is final: the session is over.
      if (!this.source || this.source.readyState !== EventSource.CLOSED) return tell(true, "No news just now; trying again.");
      this.close();
      tell(true, "No more news here: your session is over. Load the page again to sign in.");
    };
    for (const [name, what] of this.heard) this.source.addEventListener(name, what);
  }
  rest() {
    if (this.source) this.source.close();
    this.source = null;
  }
  addEventListener(name, what) {
    this.heard.push([name, what]);
    if (this.source) this.source.addEventListener(name, what);
  }
  removeEventListener(name, what) {
    this.heard = this.heard.filter(([n, w]) => n !== name || w !== what);
    if (this.source) this.source.removeEventListener(name, what);
  }
  close() {
    this.shut = true;
    this.rest();
    document.removeEventListener("visibilitychange", this.turn);
  }
}

function tell(silent, why) {
  for (const mark of document.querySelectorAll("[data-silent]")) {
    mark.hidden = !silent;
    if (silent) mark.textContent = why;
  }
}

htmx.createEventSource = (url) => new News(url);
