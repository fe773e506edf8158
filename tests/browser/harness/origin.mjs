// A site whose files are at hand, and may change.

import { Server, send } from "../../harness/server.mjs";

export class Origin extends Server {
  /** What is served, by path: a text, bytes, or a function of the request and response. */
  files;

  static start(t, files) {
    const origin = new Origin();
    // Browsers ask for it unasked.
    origin.files = { "/favicon.ico": "", ...files };
    return origin.begin(t);
  }

  answer(pathname, request, response) {
    const file = this.files[pathname.endsWith("/") ? `${pathname}index.html` : pathname];
    return typeof file === "function" ? file(request, response) : send(response, pathname, file);
  }
}
