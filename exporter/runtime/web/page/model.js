/** The model as the page sees it: a worker that makes one request at a time; a new one ends the one before it. */

export class Model {
  /** `heard`: by the kind of a message, what is done with it; messages of a request that was ended are dropped. */
  constructor(heard) {
    this.latest = 0;
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onerror = ({ message }) => heard.failed({ message: message || "the page's worker cannot start" });
    this.worker.onmessage = ({ data }) => {
      if (data.id === undefined || data.id === this.latest) heard[data.kind](data);
    };
  }

  make(request) {
    this.worker.postMessage({ kind: "make", id: ++this.latest, ...request });
  }

  check() {
    this.worker.postMessage({ kind: "check", id: ++this.latest });
  }

  stop() {
    this.worker.postMessage({ kind: "stop", id: ++this.latest });
  }
}
