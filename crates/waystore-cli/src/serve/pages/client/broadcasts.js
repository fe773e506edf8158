// BroadcastChannel stays the browser's, which tells the other pages of this visitor. What a page posts on
// one goes to the gateway's worker as well, and what the worker posts comes to the page's channels; nothing
// is passed on, so that nobody hears a thing twice.

// Of a name that the gateway takes, in bytes.
const MOST_NAME_BYTES = 1024;

function bridgeBroadcasts(link, desk) {
  if (typeof BroadcastChannel !== "function") return () => {};
  const open = new Map();
  const say = (frame, name) => link.send(JSON.stringify({ frame, name }));

  class Bridged extends BroadcastChannel {
    constructor(name) {
      super(...arguments);
      if (!canBeNamed(this.name)) return;
      if (!open.has(this.name)) {
        open.set(this.name, new Set());
        say("join", this.name);
      }
      open.get(this.name).add(this);
    }

    postMessage(message) {
      super.postMessage(...arguments);
      // The page's own channels have been told by the browser; a refusal is in the console.
      if (open.get(this.name)?.has(this)) desk.broadcast(this.name, message);
    }

    close() {
      super.close();
      const { name } = this;
      if (!open.get(name)?.delete(this) || open.get(name).size > 0) return;
      open.delete(name);
      say("leave", name);
    }
  }

  link.handlers.broadcast = ({ name, data }) => turn(() => {
    for (const channel of open.get(name) ?? []) {
      try {
        channel.dispatchEvent(new MessageEvent("message", { data: desk.received(data), origin: location.origin }));
      } catch {
        channel.dispatchEvent(new MessageEvent("messageerror", { origin: location.origin }));
      }
    }
  });
  shown(Bridged, "BroadcastChannel");
  Object.defineProperty(globalThis, "BroadcastChannel", { value: Bridged, writable: true, configurable: true });
  // A gateway that was started anew knows of no name.
  return () => [...open.keys()].forEach((name) => say("join", name));
}

// Whether a channel of this name can be the worker's, too.
function canBeNamed(name) {
  // Half a surrogate pair is no text that could be sent.
  const can = !/\p{Surrogate}/u.test(name) && new TextEncoder().encode(name).length <= MOST_NAME_BYTES;
  if (!can) complain(`a BroadcastChannel whose name has more than ${MOST_NAME_BYTES} bytes, or is no text, is not the worker's`);
  return can;
}
