// BroadcastChannel, among the scripts of one context; where that is a service worker's, beyond it too.
// Spec: https://html.spec.whatwg.org/#broadcasting-to-other-browsing-contexts
export default function (kit) {
  const { EventTarget, dispatch, domException, received, serialize, trust } = kit;
  const { setTimeout: task } = globalThis;
  const wellFormed = Function.prototype.call.bind(String.prototype.toWellFormed);
  // By name. A channel that nobody listens on does not have to live.
  const channels = new Map();
  const heard = new Set();
  let origin = "";
  let stateOf;
  let isChannel;

  class BroadcastChannel extends EventTarget {
    #state;

    static {
      stateOf = (channel) => channel.#state;
      isChannel = (value) => typeof value === "object" && value !== null && #state in value;
    }

    constructor(name) {
      if (arguments.length === 0) throw new TypeError("BroadcastChannel needs 1 argument, but was given 0");
      super();
      kit.tuneBroadcasts?.();
      this.#state = { name: `${name}`, closed: false, reference: new WeakRef(this) };
      const { reference } = this.#state;
      const others = (channels.get(this.#state.name) ?? []).filter((other) => other.deref() !== undefined);
      channels.set(this.#state.name, [...others, reference]);
    }

    get name() {
      return this.#state.name;
    }

    close() {
      const state = this.#state;
      state.closed = true;
      heard.delete(this);
      const others = (channels.get(state.name) ?? []).filter((other) => other !== state.reference);
      if (others.length > 0) channels.set(state.name, others);
      else channels.delete(state.name);
    }

    postMessage(message) {
      const { name, closed, reference } = this.#state;
      if (arguments.length === 0) throw new TypeError("postMessage needs 1 argument, but was given 0");
      if (closed) throw domException("the channel is closed", "InvalidStateError");
      const sent = serialize(message);
      const outside = wellFormed(name);
      if (kit.isBroadcastHeard?.(outside)) kit.broadcastOutside(outside, kit.pack(message, []).text);
      for (const other of channels.get(name) ?? []) {
        const channel = other.deref();
        if (channel === undefined || other === reference) continue;
        task(() => {
          if (!stateOf(channel).closed) dispatch(channel, trust(received(sent, { origin })));
        }, 0);
      }
    }
  }

  // Somebody outside posted: each channel gets a clone of its own.
  kit.broadcastArrived = (name, text) => {
    for (const reference of channels.get(name) ?? []) {
      const channel = reference.deref();
      if (channel === undefined || stateOf(channel).closed) continue;
      dispatch(channel, trust(kit.arrived(text, [], { origin }, kit.MessageEvent)), kit.checkpoint);
    }
  };

  const heardBefore = kit.heard;
  kit.heard = (target, type) => {
    heardBefore?.(target, type);
    if (isChannel(target) && (type === "message" || type === "messageerror") && !stateOf(target).closed) heard.add(target);
  };

  kit.expose(BroadcastChannel);
  kit.handler(BroadcastChannel.prototype, "message");
  kit.handler(BroadcastChannel.prototype, "messageerror");
  kit.startBroadcasts = (ours) => {
    origin = ours;
  };
}
