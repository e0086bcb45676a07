// The stream of views: open while somebody can see it. Each view holds the whole last minute, so there is no gap after a pause.

const AGAIN = 2000, SILENT = 12000;

export class Stream {
  #source = null;
  #again = 0;
  #watchdog = 0;
  #wanted = true;

  // `address`: of what is to be shown now; `view` takes each view, `lost` hears that there are none.
  constructor(address, view, lost) {
    this.address = address;
    this.view = view;
    this.lost = lost;
    document.addEventListener("visibilitychange", () => this.open());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", event => event.persisted && this.open());
  }

  set wanted(is) {
    this.#wanted = is;
    this.open();
  }

  // Begin anew, if it is wanted and seen.
  open() {
    this.close();
    if (!this.#wanted || document.hidden) return;
    this.#source = new EventSource(this.address());
    this.#source.addEventListener("view", event => {
      this.#watch();
      this.view(JSON.parse(event.data));
    });
    this.#source.addEventListener("error", () => this.#fail());
    this.#watch();
  }

  close() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#again);
    clearTimeout(this.#watchdog);
  }

  // A connection may be dead without an error.
  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#fail(), SILENT);
  }

  #fail() {
    this.close();
    this.lost();
    this.#again = setTimeout(() => this.open(), AGAIN);
  }
}
